use ddp_server::ejson::Value;
use ddp_server::{Builder, Error, object};

pub(super) fn offer(builder: Builder) -> Builder {
    let my_error = || Error::new("my-code", "My reason").details(object! { "some": "details" });
    let client_safe = || Error::new("ERROR", "REASON").details(object! { "foo": "bar" });
    let secret = || std::io::Error::other("only the log knows");
    let builder = throws(builder, "throwMeteorError", my_error);
    let builder = throws(builder, "throwMeteorErrorNoReason", || {
        Error::code_only("only-code")
    });
    let builder = throws(builder, "throwMeteorError404", || {
        Error::new(404, "Not here")
    });
    let builder = throws(builder, "throwClientSafe", client_safe);
    let builder = throws(builder, "throwSanitized", move || {
        Error::new(418, "teapot").because(secret())
    });
    let builder = throws(builder, "throwPlain", move || secret().into());
    builder
        .method("throwString", |_, _: Vec<Value>| async { throw_string() })
        .method("throwUndefined", |_, _: Vec<Value>| async { Ok(()) })
}

fn throws(
    builder: Builder,
    name: &str,
    error: impl Fn() -> Error + Send + Sync + 'static,
) -> Builder {
    builder.method(name, move |_, _: Vec<Value>| {
        let error = error();
        async move { Err::<(), _>(error) }
    })
}

/// JavaScript throws a string here; what Rust throws is a panic.
fn throw_string() -> Result<(), Error> {
    panic!("a string")
}
