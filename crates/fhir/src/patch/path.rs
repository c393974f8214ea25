//! The part of FHIRPath (<https://hl7.org/fhirpath/N1/>) that says where a patch applies, and its parser.

use super::{
    PatchError,
    error::cut,
    path_tokens::{Token, tokens},
};
use crate::limits;

/// A path, or what is asked within one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expression {
    /// `Patient.name[0].given`, `'x'`, `(…).exists()`: a start, and steps from there.
    Chain(Start, Vec<PathStep>),
    /// `a = b`
    Equal(Box<Expression>, Box<Expression>),
    /// `a != b`
    NotEqual(Box<Expression>, Box<Expression>),
    /// `a is T`
    Is(Box<Expression>, String),
    /// `a and b and …`
    All(Vec<Expression>),
    /// `a or b or …`
    Any(Vec<Expression>),
}

/// Where a chain begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// At that for which the expression is evaluated: the resource, in `where(…)` each element.
    Context,
    /// `'x'`, `1`, `true`, `@2020-01-01`
    Literal(Literal),
    /// `(…)`
    Nested(Box<Expression>),
}

/// A value that is written into a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Literal {
    /// `'…'`, without its escapes.
    Text(String),
    /// As it is written.
    Number(String),
    /// `true`, `false`
    Boolean(bool),
    /// A date, a time or both, as FHIR writes them, without `@`.
    Date(String),
}

/// One step of a chain, from a collection to a collection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathStep {
    /// `.name`
    Member(String),
    /// `[n]`
    Index(usize),
    /// `.where(…)`
    Where(Box<Expression>),
    /// `.exists()`, `.exists(…)`
    Exists(Option<Box<Expression>>),
    /// `.empty()`
    Empty,
    /// `.not()`
    Not,
    /// `.first()`
    First,
    /// `.last()`
    Last,
    /// `.single()`
    Single,
    /// `.count()`
    Count,
    /// `.ofType(T)`, `.as(T)`, `… as T`: the name without `FHIR.`
    OfType(String),
    /// `.is(T)`
    Is(String),
    /// `.extension('url')`
    Extension(String),
    /// `.startsWith('…')`
    StartsWith(String),
    /// `.endsWith('…')`
    EndsWith(String),
    /// `.contains('…')`
    Contains(String),
}

const FUNCTIONS: &str =
    "where, exists, empty, not, first, last, single, count, ofType, as, is, extension, startsWith, endsWith and contains";

/// Reads a path: at most [`limits::PATCH_PATH_CHARS_MAX`] characters, nested at most [`limits::PATCH_PATH_NESTING_MAX`] times.
///
/// # Errors
/// It is not understood; the message says which character, and what is known.
pub fn parse(path: &str) -> Result<Expression, PatchError> {
    PatchError::check_path(path)?;
    let mut parser = Parser { tokens: tokens(path)?.into_iter().peekable(), nesting: 0 };
    let expression = parser.expression()?;
    match parser.tokens.next() {
        None => Ok(expression),
        Some((token, position)) => Err(unexpected(&token, position)),
    }
}

struct Parser {
    tokens: std::iter::Peekable<std::vec::IntoIter<(Token, usize)>>,
    nesting: usize,
}

impl Parser {
    fn expression(&mut self) -> Result<Expression, PatchError> {
        if self.nesting > limits::PATCH_PATH_NESTING_MAX {
            return Err(PatchError::over_limit(
                format!("the path is nested more than {} times", limits::PATCH_PATH_NESTING_MAX),
                "write it with fewer parentheses within each other",
            ));
        }
        let mut any = vec![self.conjunction()?];
        while self.takes_word("or") {
            any.push(self.conjunction()?);
        }
        Ok(one_or(any, Expression::Any))
    }

    fn conjunction(&mut self) -> Result<Expression, PatchError> {
        let mut all = vec![self.equality()?];
        while self.takes_word("and") {
            all.push(self.equality()?);
        }
        Ok(one_or(all, Expression::All))
    }

    fn equality(&mut self) -> Result<Expression, PatchError> {
        let left = self.typed()?;
        if self.takes_sign("=") {
            return Ok(Expression::Equal(Box::new(left), Box::new(self.typed()?)));
        }
        if self.takes_sign("!=") {
            return Ok(Expression::NotEqual(Box::new(left), Box::new(self.typed()?)));
        }
        Ok(left)
    }

    fn typed(&mut self) -> Result<Expression, PatchError> {
        let (start, mut steps) = self.chain()?;
        if self.takes_word("as") {
            steps.push(PathStep::OfType(self.type_name()?));
        } else if self.takes_word("is") {
            return Ok(Expression::Is(Box::new(Expression::Chain(start, steps)), self.type_name()?));
        }
        Ok(Expression::Chain(start, steps))
    }

    fn chain(&mut self) -> Result<(Start, Vec<PathStep>), PatchError> {
        let (token, position) = self.next()?;
        let mut steps = Vec::new();
        let start = match token {
            Token::Text(text) => Start::Literal(Literal::Text(text)),
            Token::Number(number) => Start::Literal(Literal::Number(number)),
            Token::Date(date) => Start::Literal(Literal::Date(date)),
            Token::This => Start::Context,
            Token::Sign("(") => Start::Nested(Box::new(self.nested()?)),
            Token::Sign("-") => match self.next()? {
                (Token::Number(number), _) => Start::Literal(Literal::Number(format!("-{number}"))),
                (token, position) => return Err(unexpected(&token, position)),
            },
            Token::Name(name) if name == "true" || name == "false" => Start::Literal(Literal::Boolean(name == "true")),
            Token::Name(name) => {
                steps.push(self.invocation(name, position)?);
                Start::Context
            }
            token @ Token::Sign(_) => return Err(unexpected(&token, position)),
        };
        loop {
            if self.takes_sign(".") {
                match self.next()? {
                    (Token::Name(name), position) => steps.push(self.invocation(name, position)?),
                    (token, position) => return Err(unexpected(&token, position)),
                }
            } else if self.takes_sign("[") {
                let index = match self.next()? {
                    (Token::Number(number), position) => index(&number, position)?,
                    (token, position) => return Err(unexpected(&token, position)),
                };
                steps.push(PathStep::Index(index));
                self.expect("]")?;
            } else {
                return Ok((start, steps));
            }
        }
    }

    /// A member, or a function with its arguments.
    fn invocation(&mut self, name: String, position: usize) -> Result<PathStep, PatchError> {
        if !self.takes_sign("(") {
            return Ok(PathStep::Member(name));
        }
        let step = match name.as_str() {
            "where" => return Ok(PathStep::Where(Box::new(self.nested()?))),
            "exists" if self.takes_sign(")") => return Ok(PathStep::Exists(None)),
            "exists" => return Ok(PathStep::Exists(Some(Box::new(self.nested()?)))),
            "empty" => PathStep::Empty,
            "not" => PathStep::Not,
            "first" => PathStep::First,
            "last" => PathStep::Last,
            "single" => PathStep::Single,
            "count" => PathStep::Count,
            "ofType" | "as" => PathStep::OfType(self.type_name()?),
            "is" => PathStep::Is(self.type_name()?),
            "extension" => PathStep::Extension(self.text()?),
            "startsWith" => PathStep::StartsWith(self.text()?),
            "endsWith" => PathStep::EndsWith(self.text()?),
            "contains" => PathStep::Contains(self.text()?),
            "resolve" => {
                return Err(PatchError::malformed(
                    "a patch does not follow references: 'resolve()' is not known here",
                    "patch the other resource itself",
                ));
            }
            _ => {
                let problem = format!("the function '{}' at character {position} of the path is not known here", cut(&name));
                return Err(PatchError::malformed(problem, format!("known are {FUNCTIONS}")));
            }
        };
        self.expect(")")?;
        Ok(step)
    }

    /// What stands in parentheses, up to and with the closing one.
    fn nested(&mut self) -> Result<Expression, PatchError> {
        self.nesting += 1;
        let expression = self.expression()?;
        self.expect(")")?;
        self.nesting -= 1;
        Ok(expression)
    }

    fn type_name(&mut self) -> Result<String, PatchError> {
        match self.next()? {
            (Token::Name(space), _) if (space == "FHIR" || space == "System") && self.takes_sign(".") => match self.next()? {
                (Token::Name(name), _) => Ok(name),
                (token, position) => Err(unexpected(&token, position)),
            },
            (Token::Name(name), _) => Ok(name),
            (token, position) => Err(unexpected(&token, position)),
        }
    }

    fn text(&mut self) -> Result<String, PatchError> {
        match self.next()? {
            (Token::Text(text), _) => Ok(text),
            (token, position) => Err(unexpected(&token, position)),
        }
    }

    fn next(&mut self) -> Result<(Token, usize), PatchError> {
        self.tokens.next().ok_or_else(|| PatchError::malformed("the path ends too early", "write it like 'Patient.name[0].given'"))
    }

    fn takes_sign(&mut self, sign: &'static str) -> bool {
        self.tokens.next_if(|(token, _)| *token == Token::Sign(sign)).is_some()
    }

    fn takes_word(&mut self, word: &str) -> bool {
        self.tokens.next_if(|(token, _)| matches!(token, Token::Name(name) if name == word)).is_some()
    }

    fn expect(&mut self, sign: &'static str) -> Result<(), PatchError> {
        match self.next()? {
            (Token::Sign(found), _) if found == sign => Ok(()),
            (token, position) => Err(PatchError { remedy: format!("'{sign}' belongs here"), ..unexpected(&token, position) }),
        }
    }
}

fn one_or(mut several: Vec<Expression>, join: impl Fn(Vec<Expression>) -> Expression) -> Expression {
    match several.pop() {
        Some(only) if several.is_empty() => only,
        Some(last) => {
            several.push(last);
            join(several)
        }
        None => join(several),
    }
}

fn index(number: &str, position: usize) -> Result<usize, PatchError> {
    number.parse().map_err(|_| {
        let problem = format!("'{}' at character {position} of the path is no index", cut(number));
        PatchError::malformed(problem, "an index is a whole number, counted from 0")
    })
}

fn unexpected(token: &Token, position: usize) -> PatchError {
    let shown = match token {
        Token::Name(name) => cut(name),
        Token::This => "$this".to_owned(),
        Token::Text(text) => format!("text {}", cut(text)),
        Token::Number(number) => cut(number),
        Token::Date(date) => format!("@{}", cut(date)),
        Token::Sign(sign) => (*sign).to_owned(),
    };
    PatchError::malformed(
        format!("'{shown}' at character {position} of the path is not understood there"),
        "a path has names, '[n]', functions, '=', '!=', 'and', 'or', 'is', 'as', parentheses and values such as 'text', 1.5, true, @2020-01-01",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &str) -> PathStep {
        PathStep::Member(name.to_owned())
    }

    fn chain(steps: Vec<PathStep>) -> Expression {
        Expression::Chain(Start::Context, steps)
    }

    fn text(value: &str) -> Expression {
        Expression::Chain(Start::Literal(Literal::Text(value.to_owned())), vec![])
    }

    #[test]
    fn paths_are_understood() {
        let equal = |name: &str, value: &str| Expression::Equal(Box::new(chain(vec![member(name)])), Box::new(text(value)));
        let cases = [
            ("Patient.name[0].given", chain(vec![member("Patient"), member("name"), PathStep::Index(0), member("given")])),
            (
                "name.where(use = 'usual').last()",
                chain(vec![member("name"), PathStep::Where(Box::new(equal("use", "usual"))), PathStep::Last]),
            ),
            (
                "(value as FHIR.Quantity).unit",
                Expression::Chain(
                    Start::Nested(Box::new(chain(vec![member("value"), PathStep::OfType("Quantity".to_owned())]))),
                    vec![member("unit")],
                ),
            ),
            ("value.ofType(string)", chain(vec![member("value"), PathStep::OfType("string".to_owned())])),
            ("extension('u').value", chain(vec![PathStep::Extension("u".to_owned()), member("value")])),
            (
                "a = 'x' and b = 'y' or c = 'z'",
                Expression::Any(vec![Expression::All(vec![equal("a", "x"), equal("b", "y")]), equal("c", "z")]),
            ),
            ("a is Patient", Expression::Is(Box::new(chain(vec![member("a")])), "Patient".to_owned())),
            (
                "$this != -1.50",
                Expression::NotEqual(
                    Box::new(chain(vec![])),
                    Box::new(Expression::Chain(Start::Literal(Literal::Number("-1.50".to_owned())), vec![])),
                ),
            ),
            ("a.exists().not()", chain(vec![member("a"), PathStep::Exists(None), PathStep::Not])),
            ("as.is.`and`.or", chain(vec![member("as"), member("is"), member("and"), member("or")])),
        ];
        for (path, expected) in cases {
            assert_eq!(parse(path).unwrap(), expected, "{path}");
        }
    }

    #[test]
    fn what_is_not_understood_is_told() {
        let cases = [
            ("", "ends too early"),
            ("a.", "ends too early"),
            ("a..b", "'.' at character 3"),
            ("a[b]", "'b' at character 3"),
            ("a[-1]", "'-' at character 3"),
            ("a[1.5]", "'1.5' at character 3 of the path is no index"),
            ("a[99999999999999999999999]", "is no index"),
            ("a[0", "ends too early"),
            ("a b", "'b' at character 3"),
            ("a = b = c", "'=' at character 7"),
            ("a < 1", "'<' at character 3"),
            ("a | b", "'|' at character 3"),
            ("a xor b", "'xor' at character 3"),
            ("a.where(b = 'c'", "ends too early"),
            ("a.where(b = 'c']", "']' at character 16 of the path is not understood there; ')' belongs here"),
            ("a.first(1)", "')' belongs here"),
            ("a.repeat(b)", "the function 'repeat' at character 3 of the path is not known here; known are where"),
            ("subject.resolve().name", "does not follow references"),
            ("extension(url)", "'url' at character 11"),
            (")", "')' at character 1"),
            ("- a", "'a' at character 3"),
        ];
        for (path, expected) in cases {
            let message = parse(path).unwrap_err().to_string();
            assert!(message.contains(expected), "{path}: {message}");
        }
    }

    #[test]
    fn length_and_nesting_are_limited() {
        let nested = |times: usize| format!("{}a{}", "(".repeat(times), ")".repeat(times));
        assert!(parse(&nested(20)).is_ok());
        assert!(parse(&nested(21)).unwrap_err().to_string().contains("nested more than 20 times"));
        assert!(parse(&"a.exists(".repeat(100)).unwrap_err().to_string().contains("nested more than 20 times"));
        assert!(parse(&format!("a{}", ".a".repeat(499))).is_ok());
        assert!(parse(&"a".repeat(1_001)).unwrap_err().to_string().contains("1001 characters"));
        assert!(parse(&format!("a{}", " and a".repeat(166))).is_ok());
    }
}
