//! Databases as they are written: `NAME=KIND[,option=value]...`.

use super::values::InvalidValue;
use hakone::{Comparator, Compression, DatabaseOptions, Kind};
use serde::Deserialize;
use std::fmt;
use std::str::FromStr;

/// A database to serve: `NAME=KIND[,option=value]...`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct DatabaseSpec {
    /// Its name.
    pub name: String,
    /// How it is made.
    pub options: DatabaseOptions,
}

/// How a database is made: `KIND[,option=value]...`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DatabaseForm(pub DatabaseOptions);

/// Kinds that the design names and a later version brings.
const KINDS_LATER: [&str; 3] = ["table", "queue", "cache"];

/// Bytes of a database's name: it stands in catalogues, reports and commands.
const NAME_BYTES_MAX: usize = 255;

impl DatabaseSpec {
    /// A tree on file.
    pub fn tree(name: &str) -> DatabaseSpec {
        DatabaseSpec {
            name: name.to_owned(),
            options: DatabaseOptions::new(Kind::Tree),
        }
    }
}

impl FromStr for DatabaseSpec {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<DatabaseSpec, InvalidValue> {
        let wrong = |why: String| InvalidValue(format!("database `{text}`: {why}"));
        let Some((name, form)) = text.split_once('=') else {
            return Err(wrong("use NAME=KIND[,option=value]...".to_owned()));
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.chars().all(plain) {
            return Err(wrong(
                "a name consists of letters, digits, `-`, `_` and `.`".to_owned(),
            ));
        }
        Ok(DatabaseSpec {
            name: name.to_owned(),
            options: options(form).map_err(wrong)?,
        })
    }
}

impl FromStr for DatabaseForm {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<DatabaseForm, InvalidValue> {
        options(text).map(DatabaseForm).map_err(InvalidValue)
    }
}

impl TryFrom<String> for DatabaseSpec {
    type Error = InvalidValue;

    fn try_from(text: String) -> Result<DatabaseSpec, InvalidValue> {
        text.parse()
    }
}

impl fmt::Display for DatabaseSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, self.options)
    }
}

/// What `KIND[,option=value]...` says, or what is wrong with it.
fn options(text: &str) -> Result<DatabaseOptions, String> {
    let mut parts = text.split(',');
    let word = parts.next().unwrap_or_default();
    if KINDS_LATER.contains(&word) {
        let kinds = words(Kind::ALL);
        return Err(format!(
            "kind {word} is not yet in this version, use {kinds}"
        ));
    }
    let mut options = DatabaseOptions::new(choice("a kind", word, Kind::ALL)?);
    for part in parts {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        match name {
            "memory" => options.memory = switch(name, value)?,
            "comparator" => options.comparator = choice("a comparator", value, Comparator::ALL)?,
            "duplicates" => options.duplicates = switch(name, value)?,
            "width" => {
                let width = value.parse().ok().filter(|&width| width > 0);
                options.width = width.ok_or_else(|| {
                    format!("width is the most bytes of a value, 1 or more, not `{value}`")
                })?;
            }
            "compression" => {
                options.compression = choice("a compression", value, Compression::ALL)?;
            }
            "max" => return Err("option max is not yet in this version".to_owned()),
            _ => {
                return Err(format!(
                    "`{part}` is no option of a database, there are memory, comparator, \
                     duplicates, width and compression"
                ));
            }
        }
    }
    options.check().map_err(|error| error.to_string())?;
    Ok(options)
}

fn switch(name: &str, value: &str) -> Result<bool, String> {
    match value {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(format!("{name} is true or false, not `{value}`")),
    }
}

fn choice<T: Copy>(what: &str, word: &str, all: &[(&str, T)]) -> Result<T, String> {
    let found = all.iter().find(|(name, _)| *name == word);
    found
        .map(|(_, choice)| *choice)
        .ok_or_else(|| format!("`{word}` is not {what}, use {}", words(all)))
}

/// The words of a choice: `a, b or c`.
fn words<T>(all: &[(&str, T)]) -> String {
    let mut out = String::new();
    for (index, (word, _)) in all.iter().enumerate() {
        if index > 0 {
            out.push_str(if index + 1 == all.len() { " or " } else { ", " });
        }
        out.push_str(word);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn databases_name_their_kind_and_options() {
        for text in [
            "a=hash",
            "a-b_c.9=tree,memory=true",
            "a=tree,comparator=int64-reverse,duplicates=true,compression=zstd-dictionary",
            "a=array,width=64,compression=lz4",
        ] {
            let spec: DatabaseSpec = text.parse().unwrap();
            assert_eq!(spec.to_string(), text);
            let (_, form) = text.split_once('=').unwrap();
            assert_eq!(form.parse(), Ok(DatabaseForm(spec.options)));
        }
        let spec: DatabaseSpec = "a=tree,duplicates=false,comparator=bytes".parse().unwrap();
        assert_eq!(spec.options, DatabaseOptions::new(Kind::Tree));
    }

    #[test]
    fn what_is_no_database_is_told_with_the_choices() {
        let check = |text: &str, expected: &str| {
            let error = text.parse::<DatabaseSpec>().unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        for kind in KINDS_LATER {
            check(&format!("a={kind}"), "not yet in this version");
        }
        check("a=hash,max=1g", "not yet in this version");
        check("a=btree", "`btree` is not a kind, use hash, tree or array");
        check("a", "NAME=KIND");
        check("=hash", "letters");
        check("a/b=hash", "letters");
        check("a=hash,memory=yes", "true or false");
        check("a=tree,duplicates", "true or false");
        check("a=hash,color=red", "there are memory, comparator,");
        check("a=tree,comparator=lexical", "use bytes, decimal, int32");
        check(
            "a=tree,compression=gzip",
            "use none, lz4, zstd or zstd-dictionary",
        );
        check("a=array,width=0", "1 or more");
        check("a=array,width=wide", "1 or more");
        check("a=hash,comparator=decimal", "a tree");
        check("a=array,duplicates=true", "a tree");
        check("a=tree,width=5", "an array");
    }

    /// The words between backticks in the first column, of every table or of that below a heading.
    fn words_of(heading: &str) -> Vec<&'static str> {
        let page = include_str!("../../../../docs/databases.md");
        let (_, rest) = page.split_once(&format!("## {heading}\n")).unwrap();
        let table = rest.lines().skip_while(|line| !line.starts_with("|---"));
        let rows = table.skip(1).take_while(|line| line.starts_with('|'));
        let firsts = rows.map(|row| row.split('|').nth(1).unwrap());
        firsts
            .flat_map(|cell| cell.split('`').skip(1).step_by(2))
            .collect()
    }

    #[test]
    fn the_page_of_databases_tells_every_word_there_is() {
        let kinds = words_of("Kinds");
        assert_eq!(
            kinds,
            Kind::ALL.iter().map(|(word, _)| *word).collect::<Vec<_>>()
        );
        let mut orders = words_of("Orders");
        let mut all: Vec<&str> = Comparator::ALL.iter().map(|(word, _)| *word).collect();
        orders.sort_unstable();
        all.sort_unstable();
        assert_eq!(orders, all);
        let methods = words_of("Compression");
        assert_eq!(
            methods,
            Compression::ALL
                .iter()
                .map(|(word, _)| *word)
                .collect::<Vec<_>>()
        );
        // The error for an option that there is not lists those that there are.
        let error = options("tree,color=red").unwrap_err();
        let (_, listed) = error.split_once("there are ").unwrap();
        assert_eq!(
            listed.replace(" and ", ", "),
            words_of("Options").join(", ")
        );
        let page = include_str!("../../../../docs/databases.md");
        for word in page
            .split_whitespace()
            .filter(|word| word.contains("=t") || word.contains("=h"))
        {
            assert!(word.parse::<DatabaseSpec>().is_ok(), "{word}");
        }
    }
}
