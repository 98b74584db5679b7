//! What is asked of a list, as words: `LIST PUSH name front|back value ...` and so on.

use super::super::failure::Failure;
use hakone_command::{End, parse_integer};
use std::borrow::Cow;

/// Elements that one request reads or pops at most: 4096.
const ELEMENTS_MAX: usize = 4096;

/// What is asked of a list beside a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListRequest<'a> {
    /// Add values at an end, one after the other. Answers how many elements there are then.
    Push(End, Vec<&'a [u8]>),
    /// Take elements away from an end, up to so many, and as many as fit an answer. Answers them.
    Pop(End, usize),
    /// The elements from one index to another, both included, as many as fit an answer; a negative
    /// index counts from the back. Answers the index of the first of them, and them.
    Range(i64, i64, usize),
    /// Answers how many elements there are.
    Length,
    /// Remove all elements. Answers how many there were.
    Clear,
}

impl<'a> ListRequest<'a> {
    /// The words that follow `HAKONE` to ask this of the list `name`.
    pub fn words(&self, name: &'a [u8]) -> Vec<Cow<'a, [u8]>> {
        let text = |text: &'static str| Cow::Borrowed(text.as_bytes());
        let number = |number: &dyn ToString| Cow::Owned(number.to_string().into_bytes());
        let verb = match self {
            ListRequest::Push(..) => "push",
            ListRequest::Pop(..) => "pop",
            ListRequest::Range(..) => "range",
            ListRequest::Length => "length",
            ListRequest::Clear => "clear",
        };
        let mut said = vec![text("list"), text(verb), Cow::Borrowed(name)];
        match self {
            ListRequest::Push(end, values) => {
                said.push(text(end_word(*end)));
                said.extend(values.iter().map(|value| Cow::Borrowed(*value)));
            }
            ListRequest::Pop(end, count) => said.extend([text(end_word(*end)), number(count)]),
            ListRequest::Range(first, last, limit) => {
                said.extend([number(first), number(last), number(limit)]);
            }
            ListRequest::Length | ListRequest::Clear => {}
        }
        said
    }

    /// The list, and what is asked of it by the words after `LIST`.
    ///
    /// # Errors
    /// What is wrong with the words, as an error reply.
    pub fn read(words: &[&'a [u8]]) -> Result<(&'a [u8], ListRequest<'a>), Failure> {
        let [verb, name, operands @ ..] = words else {
            return Err(WRONG);
        };
        let request = match (verb.to_ascii_lowercase().as_slice(), operands) {
            (b"push", [end, values @ ..]) if !values.is_empty() => {
                ListRequest::Push(end_of(end)?, values.to_vec())
            }
            (b"pop", [end, count]) => ListRequest::Pop(end_of(end)?, count_of(count)?),
            (b"range", [first, last, limit]) => {
                let index = |word| parse_integer(word).ok_or(Failure::NOT_AN_INTEGER);
                ListRequest::Range(index(first)?, index(last)?, count_of(limit)?)
            }
            (b"length", []) => ListRequest::Length,
            (b"clear", []) => ListRequest::Clear,
            _ => return Err(WRONG),
        };
        Ok((name, request))
    }
}

const WRONG: Failure = Failure::Text(
    "ERR LIST takes PUSH name front|back value ..., POP name front|back count, RANGE name first \
     last limit, LENGTH name, CLEAR name",
);

fn end_word(end: End) -> &'static str {
    match end {
        End::Front => "front",
        End::Back => "back",
    }
}

fn end_of(word: &[u8]) -> Result<End, Failure> {
    match word.to_ascii_lowercase().as_slice() {
        b"front" => Ok(End::Front),
        b"back" => Ok(End::Back),
        _ => Err(WRONG),
    }
}

fn count_of(word: &[u8]) -> Result<usize, Failure> {
    let count = parse_integer(word).and_then(|count| usize::try_from(count).ok());
    let count = count.filter(|&count| (1..=ELEMENTS_MAX).contains(&count));
    count.ok_or(Failure::Text("ERR the count is from 1 to 4096"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_a_list_says_the_same() {
        for request in [
            ListRequest::Push(End::Front, vec![b"a", b""]),
            ListRequest::Pop(End::Back, 4096),
            ListRequest::Range(0, -1, 1),
            ListRequest::Length,
            ListRequest::Clear,
        ] {
            let said = request.words(b"todo");
            let said: Vec<&[u8]> = said.iter().map(|word| &**word).collect();
            assert_eq!(ListRequest::read(&said[1..]), Ok((&b"todo"[..], request)));
        }
        for words in [
            &["push", "todo", "front"][..],
            &["push", "todo", "middle", "a"],
            &["pop", "todo", "front", "0"],
            &["pop", "todo", "front", "4097"],
            &["range", "todo", "0", "x", "1"],
            &["length"],
            &["clear", "todo", "now"],
        ] {
            let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
            assert!(ListRequest::read(&words).is_err(), "{words:?}");
        }
    }
}
