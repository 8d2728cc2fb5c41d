//! `did you mean`: the nearest name by edit distance.

/// `; did you mean 'x' maybe ?`, or nothing.
pub(crate) fn hint<'n>(word: &str, names: impl Iterator<Item = &'n str>) -> String {
    closest(word, names).map_or_else(String::new, |name| {
        format!("; did you mean '{name}' maybe ?")
    })
}

/// The name nearest to `word`, if it is near at all: about one letter in three may differ.
pub(crate) fn closest<'n>(word: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    // A pasted paragraph is no misspelling.
    if word.len() > 64 {
        return None;
    }
    names
        .map(|name| (distance(word, name), name))
        .filter(|(distance, name)| *distance * 3 <= name.chars().count().max(3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// Letters to insert, drop, change, or swap with their neighbour.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let change = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = change.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(before[j - 2] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_and_far() {
        let names = || ["check", "backup", "tfo"].into_iter();
        assert_eq!(closest("chek", names()), Some("check"));
        assert_eq!(closest("cehck", names()), Some("check"));
        assert_eq!(closest("zzzz", names()), None);
        assert_eq!(hint("bakcup", names()), "; did you mean 'backup' maybe ?");
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
