//! A statement on its way: values get their numbers, tables their names.

use lethe_fhir::ResourceType;

use crate::{Dialect, Param, Statement};

/// Collects the values of a statement and hands out names.
#[derive(Debug)]
pub struct Builder<'d, D: Dialect> {
    account_id: i64,
    /// What differs between databases.
    pub dialect: &'d D,
    params: Vec<Param>,
    names: usize,
}

impl<'d, D: Dialect> Builder<'d, D> {
    /// With the account as the first value.
    pub fn new(dialect: &'d D, account_id: i64) -> Self {
        Self { account_id, dialect, params: vec![Param::Int(account_id)], names: 0 }
    }

    /// The account.
    #[must_use]
    pub fn account(&self) -> String {
        self.dialect.placeholder(1)
    }

    /// Its number, for what is made of it.
    #[must_use]
    pub fn account_id(&self) -> i64 {
        self.account_id
    }

    /// Binds a value and returns how it is named in the text.
    pub fn bind(&mut self, param: Param) -> String {
        self.params.push(param);
        self.dialect.placeholder(self.params.len())
    }

    /// Binds a number; the same number once.
    pub fn int(&mut self, number: i64) -> String {
        // The account keeps the first place to itself.
        let place = self.params.iter().skip(1).position(|own| *own == Param::Int(number)).map(|place| place + 1);
        let place = place.unwrap_or_else(|| {
            self.params.push(Param::Int(number));
            self.params.len() - 1
        });
        self.dialect.placeholder(place + 1)
    }

    /// Binds a type.
    pub fn type_id(&mut self, resource_type: ResourceType) -> String {
        self.int(i64::from(resource_type.code()))
    }

    /// A number that no other table of the statement has.
    pub fn name(&mut self) -> usize {
        self.names += 1;
        self.names
    }

    /// The finished statement.
    #[must_use]
    pub fn finish(self, sql: String) -> Statement {
        Statement { sql, params: self.params }
    }
}
