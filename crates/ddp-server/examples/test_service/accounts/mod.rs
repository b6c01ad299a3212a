//! Logins as Meteor's accounts packages offer them, for tests: everything is in memory, and
//! passwords are hashed only once.

mod options;
mod password;
mod store;
mod tokens;

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ddp_server::ejson::{Date, Fields, Value};
use ddp_server::live::{Writer, collection};
use ddp_server::rate_limit::Rule;
use ddp_server::{Builder, Error, MethodContext, fields};

use self::options::{Login, NewUser};
use self::password::Password;
use self::store::Store;
use self::tokens::Token;
use super::lock;

/// How long a login lasts.
const LIFETIME: Duration = Duration::from_secs(90 * 24 * 60 * 60);

pub(super) fn offer(builder: Builder, clear_errors: bool) -> Builder {
    let (users, view) = collection("users");
    let accounts = Arc::new(Accounts {
        store: Mutex::default(),
        users,
        clear_errors,
    });
    let builder = [
        "meteor.loginServiceConfiguration",
        "meteor_autoupdate_clientVersions",
    ]
    .into_iter()
    .fold(builder, |builder, name| {
        builder.publish(name, |sub, _: Vec<Value>| async move {
            sub.ready();
            Ok(())
        })
    });
    let builder = builder
        .rate_limit(Rule::accounts())
        .publish_universal(move |sub| {
            let own = sub.user_id().map(|id| view.find_one(id));
            let shown = own.map(|own| own.include(["username", "emails", "profile"]));
            async { Ok(shown) }
        });
    offer_tokens(offer_logins(builder, &accounts), &accounts)
}

fn offer_logins(builder: Builder, accounts: &Arc<Accounts>) -> Builder {
    let builder = offer_one(builder, "login", accounts, |accounts, ctx, params| {
        accounts.login(ctx, Login::read(params.first())?)
    });
    let builder = offer_one(builder, "createUser", accounts, |accounts, ctx, params| {
        accounts.create_user(ctx, NewUser::read(params.first())?)
    });
    offer_one(
        builder,
        "changePassword",
        accounts,
        |accounts, ctx, params| {
            let [old, new, ..] = params else {
                return Err(Error::match_failed());
            };
            accounts.change_password(ctx, &Password::read(old)?, &Password::read(new)?)
        },
    )
}

fn offer_tokens(builder: Builder, accounts: &Arc<Accounts>) -> Builder {
    let builder = offer_one(builder, "logout", accounts, |accounts, ctx, _| {
        accounts.store().forget_connection(ctx.connection().id());
        ctx.set_user_id(None).map(|()| None)
    });
    let builder = offer_one(builder, "getNewToken", accounts, |accounts, ctx, _| {
        accounts.new_token(ctx)
    });
    offer_one(
        builder,
        "removeOtherTokens",
        accounts,
        |accounts, ctx, _| {
            let user = logged_in(ctx)?;
            accounts.store().forget_others(&user, ctx.connection().id());
            Ok(None)
        },
    )
}

type Outcome = Result<Option<Fields>, Error>;

fn offer_one(
    builder: Builder,
    name: &str,
    accounts: &Arc<Accounts>,
    method: fn(&Accounts, &MethodContext, &[Value]) -> Outcome,
) -> Builder {
    let accounts = Arc::clone(accounts);
    builder.method(name, move |ctx, params: Vec<Value>| {
        let outcome = method(&accounts, &ctx, &params);
        async { outcome }
    })
}

struct Accounts {
    store: Mutex<Store>,
    users: Writer,
    clear_errors: bool,
}

impl Accounts {
    fn login(&self, ctx: &MethodContext, login: Login) -> Outcome {
        match login {
            Login::Resume(secret) => self.resume(ctx, &secret),
            Login::Password(user, password) => {
                let user = self.store().find(&user).cloned();
                let user = user.ok_or_else(|| self.refusal("User not found"))?;
                if !password.fits(user.password.as_ref()) {
                    return Err(self.refusal("Incorrect password"));
                }
                self.begin(ctx, &user.id, &Token::new(now() + LIFETIME), "password")
            }
        }
    }

    fn resume(&self, ctx: &MethodContext, secret: &str) -> Outcome {
        const UNKNOWN: &str = "You've been logged out by the server. Please log in again.";
        const EXPIRED: &str = "Your session has expired. Please log in again.";
        let known = self.store().token_owner(secret);
        let (user, expires) = known.ok_or_else(|| Error::new(403, UNKNOWN))?;
        if expires <= now() {
            return Err(Error::new(403, EXPIRED));
        }
        self.begin(ctx, &user, &Token::known(secret, expires), "resume")
    }

    fn create_user(&self, ctx: &MethodContext, new: NewUser) -> Outcome {
        if new.username.is_none() && new.email.is_none() {
            return Err(Error::new(400, "Need to set a username or email"));
        }
        let user = {
            let mut store = self.store();
            if let Some(taken) = store.taken(&new) {
                return Err(self.refusal(taken));
            }
            store.insert(new)
        };
        self.users.set(&user.id, user.document());
        self.begin(ctx, &user.id, &Token::new(now() + LIFETIME), "password")
    }

    fn change_password(&self, ctx: &MethodContext, old: &Password, new: &Password) -> Outcome {
        let id = ctx
            .user_id()
            .ok_or_else(|| Error::new(401, "Must be logged in"))?;
        let mut store = self.store();
        let user = store
            .user_mut(&id)
            .ok_or_else(|| self.refusal("User not found"))?;
        if !old.fits(user.password.as_ref()) {
            return Err(self.refusal("Incorrect password"));
        }
        user.password = Some(new.hash());
        store.forget_others(&id, ctx.connection().id());
        Ok(Some(fields! { "passwordChanged": true }))
    }

    fn new_token(&self, ctx: &MethodContext) -> Outcome {
        let user = logged_in(ctx)?;
        let expires = self.store().expiry(ctx.connection().id());
        let token = Token::new(expires.unwrap_or_else(|| now() + LIFETIME));
        self.store().bind(ctx.connection(), &user, &token);
        // as with every login, all subscriptions begin again
        ctx.set_user_id(Some(&user))?;
        Ok(Some(told(&user, &token)))
    }

    /// The connection is logged in, by this token.
    fn begin(&self, ctx: &MethodContext, user: &str, token: &Token, kind: &str) -> Outcome {
        self.store().bind(ctx.connection(), user, token);
        ctx.set_user_id(Some(user))?;
        let mut told = told(user, token);
        told.insert("type".to_owned(), kind.into());
        Ok(Some(told))
    }

    fn refusal(&self, reason: &str) -> Error {
        const AMBIGUOUS: &str = "Something went wrong. Please check your credentials.";
        Error::new(403, if self.clear_errors { reason } else { AMBIGUOUS })
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        lock(&self.store)
    }
}

fn logged_in(ctx: &MethodContext) -> Result<Arc<str>, Error> {
    ctx.user_id()
        .ok_or_else(|| Error::code_only("You are not logged in."))
}

fn told(user: &str, token: &Token) -> Fields {
    let expires = i64::try_from(token.expires.as_millis()).unwrap_or(i64::MAX);
    let expires = Date::from_millis(expires);
    fields! { "id": user, "token": &token.secret, "tokenExpires": expires }
}

/// Since 1970.
fn now() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}
