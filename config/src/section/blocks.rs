//! `.if` blocks and the other lines that begin with a dot (CFG 2.4).

use crate::condition;
use crate::diagnostic::{Fault, Severity, Shape, Spot};
use crate::env::Lookup;
use crate::keyword::suggest;
use crate::lexer::Word;

/// Lines that begin with a dot.
const DIRECTIVES: &[&str] = &[
    ".if", ".elif", ".else", ".endif", ".alert", ".warning", ".notice", ".diag",
];

/// The `.if` blocks that are open, outermost first.
#[derive(Debug, Default)]
pub(super) struct Blocks(Vec<Block>);

#[derive(Debug)]
struct Block {
    /// Whether its lines are read now.
    active: bool,
    /// Whether one of its branches was.
    done: bool,
    /// Whether the lines around it are read.
    outer: bool,
    /// Where its `.if` is.
    spot: Spot,
}

impl Blocks {
    /// Whether lines are read here.
    pub(super) fn active(&self) -> bool {
        self.0.last().is_none_or(|block| block.active)
    }

    /// The `.if` that has no end yet.
    pub(super) fn unclosed(&self) -> Option<Spot> {
        self.0.last().map(|block| block.spot.clone())
    }

    /// Follows a directive, or says what a `.notice` and its kin are there to say.
    pub(super) fn directive(
        &mut self,
        words: &[Word],
        spot: &Spot,
        variables: Lookup<'_>,
    ) -> Result<(), Fault> {
        let rest: Vec<_> = words[1..].iter().map(|word| word.text.as_str()).collect();
        let rest = rest.join(" ");
        let active = self.active();
        match words[0].text.as_str() {
            ".if" => {
                let judged = if active {
                    judge(&rest, variables)
                } else {
                    Ok(false)
                };
                let value = *judged.as_ref().unwrap_or(&false);
                // Opened even by a condition that cannot be judged: its `.endif` will come.
                self.0.push(Block {
                    active: value,
                    done: value,
                    outer: active,
                    spot: spot.clone(),
                });
                judged.map(drop)
            }
            ".elif" => {
                let block = self.last()?;
                if block.outer && !block.done {
                    block.active = judge(&rest, variables)?;
                    block.done = block.active;
                } else {
                    block.active = false;
                }
                Ok(())
            }
            ".else" => {
                let block = self.last()?;
                block.active = block.outer && !block.done;
                block.done = true;
                Ok(())
            }
            ".endif" => {
                self.last()?;
                self.0.pop();
                Ok(())
            }
            _ if !active => Ok(()),
            ".alert" => Err(said("alert", Severity::Alert, &rest)),
            ".warning" => Err(said("warning", Severity::Warning, &rest)),
            ".notice" => Err(said("notice", Severity::Notice, &rest)),
            ".diag" => Err(said("diag", Severity::Diag, &rest)),
            other => {
                let hint = suggest::hint(other, DIRECTIVES.iter().copied());
                let text = format!("unknown directive '{other}'{hint}");
                Err(Fault::new("unknown-directive", text).shape(Shape::Line))
            }
        }
    }

    fn last(&mut self) -> Result<&mut Block, Fault> {
        self.0.last_mut().ok_or_else(|| {
            Fault::new("stray-block", "there is no '.if' before this")
                .shape(Shape::Line)
                .help("remove it, or add the '.if'")
        })
    }
}

fn said(code: &'static str, severity: Severity, text: &str) -> Fault {
    Fault {
        severity,
        ..Fault::new(code, format!("'{text}'")).shape(Shape::Line)
    }
}

fn judge(condition: &str, variables: Lookup<'_>) -> Result<bool, Fault> {
    condition::evaluate(condition, variables).map_err(|why| {
        let text = format!("failed to evaluate condition '{condition}': {why}");
        Fault::new("bad-condition", text).shape(Shape::Line)
    })
}
