use ddp_server::ejson::Value;
use ddp_server::{Builder, Error, MethodContext, object};

use super::{text, wait};

pub(super) fn offer(builder: Builder) -> Builder {
    builder
        .method("echo", |_: MethodContext, params: Vec<Value>| async {
            Ok(params)
        })
        .method("echoOne", |_: MethodContext, params: Vec<Value>| async {
            Ok(params.into_iter().next())
        })
        .method("nothing", |_: MethodContext, _: Vec<Value>| async {
            Ok(())
        })
        .method("returnsNull", |_: MethodContext, _: Vec<Value>| async {
            Ok(Value::Null)
        })
        .method("add", |_: MethodContext, params: Vec<Value>| async move {
            match params.as_slice() {
                [Value::Number(a), Value::Number(b)] => Ok(a + b),
                _ => Err(Error::match_failed()),
            }
        })
        .method("slow", |_: MethodContext, params: Vec<Value>| async move {
            wait(&params, 0).await;
            Ok(text(&params, 1).to_owned())
        })
        .method(
            "slowUnblock",
            |context: MethodContext, params: Vec<Value>| async move {
                context.unblock();
                wait(&params, 0).await;
                Ok(text(&params, 1).to_owned())
            },
        )
        .method(
            "whoami",
            |context: MethodContext, _: Vec<Value>| async move { Ok(whoami(&context)) },
        )
        .method(
            "closeMe",
            |context: MethodContext, _: Vec<Value>| async move {
                context.connection().close();
                Ok(())
            },
        )
}

fn whoami(context: &MethodContext) -> Value {
    let connection = context.connection();
    object! {
        "userId": (),
        "connectionId": connection.id(),
        "clientAddress": connection.client_address(),
        "headers": connection.headers(),
    }
}
