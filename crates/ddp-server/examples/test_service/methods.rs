use ddp_server::ejson::Value;
use ddp_server::{Builder, MethodContext, object};

use super::wait;

pub(super) fn offer(builder: Builder) -> Builder {
    let builder = builder
        .method("echo", |_, params: Vec<Value>| async { Ok(params) })
        .method("echoOne", |_, params: Vec<Value>| async {
            Ok(params.into_iter().next())
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
    type Slow = (f64, Option<String>);
    builder
        .method("slow", |_, (ms, tag): Slow| async move {
            wait(ms).await;
            Ok(tag)
        })
        .method("slowUnblock", |ctx, (ms, tag): Slow| async move {
            ctx.unblock();
            wait(ms).await;
            Ok(tag)
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
