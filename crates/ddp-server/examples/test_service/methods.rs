use ddp_server::ejson::Value;
use ddp_server::{Builder, MethodContext, object};

use super::{Arguments, wait};

pub(super) fn offer(builder: Builder) -> Builder {
    let builder = builder
        .method("echo", |_, params: Vec<Value>| async { Ok(params) })
        .method("echoOne", |_, mut arguments: Arguments| async move {
            Ok(arguments.next())
        })
        .method("nothing", |_, _: Vec<Value>| async { Ok(()) })
        .method("returnsNull", |_, _: Vec<Value>| async { Ok(Value::Null) })
        .method("add", |_, (a, b): (f64, f64)| async move { Ok(a + b) });
    offer_slow(builder)
        .method(
            "whoami",
            |ctx, _: Vec<Value>| async move { Ok(whoami(&ctx)) },
        )
        .method("closeMe", |ctx, _: Vec<Value>| async move {
            ctx.connection().close();
            Ok(())
        })
}

fn offer_slow(builder: Builder) -> Builder {
    builder
        .method("slow", |_, mut arguments: Arguments| async move {
            wait(arguments.millis()).await;
            Ok(arguments.next())
        })
        .method("slowUnblock", |ctx, mut arguments: Arguments| async move {
            ctx.unblock();
            wait(arguments.millis()).await;
            Ok(arguments.next())
        })
}

fn whoami(ctx: &MethodContext) -> Value {
    let connection = ctx.connection();
    object! {
        "userId": ctx.user_id().as_deref(),
        "connectionId": connection.id(),
        "clientAddress": connection.client_address(),
        "headers": connection.headers(),
    }
}
