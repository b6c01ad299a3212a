use crate::ejson::Value;
use crate::object;

/// Who is logged in, and how to be again on the next connection (Meteor's `accounts-base`).
#[derive(Default)]
pub(super) struct Account {
    user: Option<String>,
    /// Method and parameters: they hold a token, so nothing here implements `Debug`.
    resume: Option<(String, Vec<Value>)>,
}

impl Account {
    pub(super) fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// The call that repeats the login.
    pub(super) fn resume(&self) -> Option<(String, Vec<Value>)> {
        self.resume.clone()
    }

    pub(super) fn set_resume(&mut self, resume: Option<(String, Vec<Value>)>) {
        self.resume = resume;
    }

    /// A login has succeeded. Its token counts from now on, even if the connection is lost before
    /// its data is there.
    pub(super) fn remember_token(&mut self, result: Option<&Value>) {
        let token = result.and_then(|result| result.get("token"));
        if let Some(token) = token.and_then(Value::as_str) {
            self.resume = Some(("login".into(), vec![object! { "resume": token }]));
        }
    }

    /// Whether this is another user than before.
    pub(super) fn set_user(&mut self, user: Option<String>) -> bool {
        let changed = self.user != user;
        self.user = user;
        changed
    }
}
