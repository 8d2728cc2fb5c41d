//! `stick` rules: the table of each, which stores what the rule needs.

use super::Context;
use crate::diagnostic::{Fault, Report, Shape};
use crate::draft::ProxyDraft;
use crate::keyword::stick::{self, SERVER_TYPES};
use crate::model::{StickRule, StickTable, StoreType};

impl Context<'_> {
    pub(super) fn stick(
        &self,
        draft: &ProxyDraft,
        tables: &mut [Option<StickTable>],
        report: &mut Report,
    ) -> Vec<StickRule> {
        let mut rules = Vec::new();
        for stick in &draft.settings.stick {
            let name = stick
                .table
                .as_ref()
                .map_or(&*draft.name.value, |table| table.value.as_str());
            let index = self.names.get(name).copied();
            let table = index.and_then(|index| tables[index].as_mut());
            let (Some(index), Some(table)) = (index, table) else {
                let spot = stick
                    .table
                    .as_ref()
                    .map_or(&stick.spot, |table| &table.spot);
                let text = format!(
                    "Proxy '{}': unable to find stick-table '{name}'.",
                    draft.name.value
                );
                let help = "add a 'stick-table' line to the section of that name";
                report.fault(
                    spot,
                    Fault::new("unknown-table", text)
                        .shape(Shape::Whole)
                        .help(help),
                );
                continue;
            };
            for name in SERVER_TYPES {
                if table.store.iter().all(|stored| stored.name != name) {
                    table.store.push(StoreType { name, period: None });
                }
            }
            stick::sort(&mut table.store);
            rules.push(StickRule {
                match_: stick.match_,
                store: stick.store,
                expression: stick.expression.clone(),
                table: index,
            });
        }
        rules
    }
}
