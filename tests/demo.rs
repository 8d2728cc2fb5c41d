//! The first command of the README.

use anyhow::{Context as _, Result, ensure};
use testkit::proxy::Program;

#[test]
fn nobody_notices_the_primarys_death() -> Result<()> {
    let output = Program::Posthouse
        .command()?
        .args(["demo", "--seconds", "12"])
        .output()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "{said}");
    let last = said
        .lines()
        .find(|line| line.contains(" messages in "))
        .with_context(|| said.clone())?;
    ensure!(last.ends_with(" 0 failed."), "{last}");
    ensure!(
        !last.contains(" 0 by mail2"),
        "the backup had its turn: {last}"
    );
    ensure!(said.contains("mail1 is back"), "{said}");
    Ok(())
}
