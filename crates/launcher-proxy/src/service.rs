use std::pin::pin;
use std::sync::Arc;

use http::header::{ORIGIN, STRICT_TRANSPORT_SECURITY};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, Version};
use hyper::body::{Body, Incoming};
use hyper::upgrade::OnUpgrade;
use tokio::time::{Instant, timeout_at};

use crate::access_log::{self, Pending};
use crate::admission::{self, Newcomer};
use crate::assets::{Asset, Looked, Origin};
use crate::balance::Choice;
use crate::body::{ForwardedResponse, ResponseBody};
use crate::client_limits::CountedConnection;
use crate::config::Config;
use crate::connections::OpenConnection;
use crate::forward::{self, Answered, Failure, Outgoing};
use crate::headers::{self, Arrived};
use crate::limited::Limited;
use crate::load::{OpenRequest, OpenUpgrade};
use crate::meter::{Record, UpgradedRecord};
use crate::pages::{Accept, Refusal};
use crate::proxy::Shared;
use crate::redirect::{self, Asked};
use crate::route::Route;
use crate::route_table::Found;
use crate::sessions::Found as Known;
use crate::settings::SiteSettings;
use crate::shutdown::Tasks;
use crate::sockets::Socket;
use crate::sockjs_farewell::{self, GoAway, Leaving};
use crate::sockjs_path::{self, Transport};
use crate::target;
use crate::upgrade;
use crate::upstream::Upstream;
use crate::visitor::{Arrival, Visitor};
use crate::websocket::Kind;

/// Answers the requests of one client connection.
pub(crate) struct Client {
    pub(crate) shared: Arc<Shared>,
    pub(crate) arrival: Arrival,
    pub(crate) arrived: Arrived,
    /// Absent where it does not count.
    pub(crate) counted: Option<CountedConnection>,
    pub(crate) tasks: Tasks,
    /// Held until the connection is closed, which may be long after it was upgraded.
    pub(crate) open: Arc<OpenConnection>,
}

/// What a request is for.
pub(crate) struct Wanted<'request> {
    pub(crate) asked: Asked<'request>,
    session: Option<Session<'request>>,
    /// Whether it is the first of a client that will stay.
    is_newcomer: bool,
    /// Present if it is for a file that only some releases may have.
    asset: Option<Asset>,
}

/// The SockJS session that a request belongs to.
#[derive(Clone, Copy)]
struct Session<'request> {
    key: u64,
    transport: Transport,
    query: Option<&'request str>,
    origin: Option<&'request HeaderValue>,
}

impl Session<'_> {
    fn go_away(&self) -> Refusal {
        Refusal::SessionMoved(GoAway {
            transport: self.transport,
            callback: sockjs_farewell::callback(self.query),
            origin: self.origin.cloned(),
        })
    }
}

/// Who gets a request, and how.
pub(crate) struct Turn {
    pub(crate) open: OpenRequest,
    /// Present until the head of the answer, where newcomers are counted.
    pub(crate) newcomer: Option<Newcomer>,
    pub(crate) settings: Arc<SiteSettings>,
    /// How much of the path's begin says which site it is.
    pub(crate) prefix: usize,
    /// Whether upstreams get that.
    pub(crate) strips: bool,
    pub(crate) hsts: Option<HeaderValue>,
    /// Whether the client is to be told whose it is now.
    pub(crate) is_new: bool,
    /// Which version that is, if the request is for an asset.
    pub(crate) origin: Option<Origin>,
}

/// Why it is nobody's turn.
enum NoTurn {
    Refused(Refusal),
    /// There may be room there soon.
    Full(Upstream),
}

impl Client {
    pub(crate) async fn answer(&self, request: Request<Incoming>) -> Response<ResponseBody> {
        let accept = Accept::of(request.headers());
        let log = self.shared.config.access_log.as_ref();
        let pending = |log| {
            let asked = access_log::Asked::of(&request, log);
            Pending::new(log, self.arrival.peer, Some(asked))
        };
        let mut record = Record::begin(log.map(pending));
        match self.route(request, &mut record).await {
            Ok(response) => response,
            Err(refusal) => self.refuse(&refusal, &accept, &mut record),
        }
    }

    fn refuse(
        &self,
        refusal: &Refusal,
        accept: &Accept,
        record: &mut Record,
    ) -> Response<ResponseBody> {
        let page = refusal.page(accept, &self.shared.config.pages);
        let length = page.body().size_hint().lower();
        self.shared.refused(record, refusal, length);
        page
    }

    async fn route(
        &self,
        request: Request<Incoming>,
        record: &mut Record,
    ) -> Result<Response<ResponseBody>, Refusal> {
        let Config {
            trusted_proxies: trusted,
            max_headers,
            ..
        } = &*self.shared.config;
        let mut visitor = Visitor::of(request.headers(), &self.arrival, trusted);
        let host = target::host(&request);
        let host = match visitor.host.take() {
            Some(told) if host.is_ok() => Ok(told),
            _ => host,
        };
        let named = host.as_deref().ok().filter(|host| !host.is_empty());
        record.visited_by(visitor.address, named);
        if record.is_logged()
            && let Ok(host) = &host
            && let Some(found) = self.shared.table.load().find(host, request.uri().path())
        {
            record.tell_site(&found);
        }
        // With HTTP/2 hyper counts bytes only.
        if request.headers().len() > *max_headers {
            return Err(Refusal::Limited(Limited::HeadTooLarge));
        }
        if target::asks_for_a_tunnel(&request) {
            return Err(Refusal::NoTunnels);
        }
        let host = host.map_err(Refusal::BadRequest)?;
        self.ask(&visitor)?;
        let (uri, method) = (request.uri().clone(), request.method().clone());
        let origin = request.headers().get(ORIGIN).cloned();
        let session = self.session(&request, &uri, &host, origin.as_ref());
        let wanted = Wanted {
            session,
            is_newcomer: self.is_newcomer(&request, session),
            asked: Asked {
                host: &host,
                uri: &uri,
                method: &method,
                https: visitor.https,
            },
            asset: Asset::of(&request, &host),
        };
        let headers = Some(request.headers());
        let turn = self.turn(&wanted, headers, &[], record).await?;
        let turn = turn.ok_or(Refusal::BadGateway)?;
        self.ask_site(&request, &visitor, &turn.settings)?;
        self.forward(request, &wanted, &visitor, turn, record).await
    }

    fn session<'request, B>(
        &self,
        request: &Request<B>,
        uri: &'request Uri,
        host: &str,
        origin: Option<&'request HeaderValue>,
    ) -> Option<Session<'request>> {
        // Asking what may be asked begins nothing.
        if request.method() == Method::OPTIONS {
            return None;
        }
        let (name, transport) = sockjs_path::session(uri.path())?;
        Some(Session {
            key: self.shared.sessions.key(host, name),
            transport,
            query: uri.query(),
            origin,
        })
    }

    fn ask(&self, visitor: &Visitor) -> Result<(), Refusal> {
        let Shared {
            clients, config, ..
        } = &*self.shared;
        let asked = clients.ask(visitor.address, self.counted.as_ref(), config);
        asked.map_err(Refusal::Limited)
    }

    fn ask_site<B: Body>(
        &self,
        request: &Request<B>,
        visitor: &Visitor,
        settings: &Arc<SiteSettings>,
    ) -> Result<(), Refusal> {
        Limited::check(request, settings).map_err(Refusal::Limited)?;
        let (clients, counted) = (&self.shared.clients, self.counted.as_ref());
        let asked = clients.ask_at(settings, visitor.address, counted);
        asked.map_err(Refusal::Limited)
    }

    /// Whether nobody but [`Config::admission`](crate::Config::admission) knows if it may come.
    fn is_newcomer<B>(&self, request: &Request<B>, session: Option<Session<'_>>) -> bool {
        let comes = sockjs_path::is_info(request.uri().path())
            || headers::requested_upgrade(request.headers(), request.version()).is_some();
        let sessions = &self.shared.sessions;
        let is_known = || session.and_then(|session| sessions.find(session.key));
        comes && self.shared.config.admission.is_some() && is_known().is_none()
    }

    /// Whose turn it is, by the table in force. `None` if all have been `tried`. The cookies in `headers`
    /// need not be looked at again once that has been tried which they stand for.
    async fn turn(
        &self,
        wanted: &Wanted<'_>,
        headers: Option<&HeaderMap>,
        tried: &[Upstream],
        record: &mut Record,
    ) -> Result<Option<Turn>, Refusal> {
        let first = match self.ask_for_turn(wanted, headers, tried, record) {
            Ok(turn) => return Ok(turn),
            Err(NoTurn::Refused(refusal)) => return Err(refusal),
            Err(NoTurn::Full(first)) => first,
        };
        // In a box, since hardly anybody has to wait, and all would carry the room for it.
        Box::pin(wait_for_turn(first, || {
            self.ask_for_turn(wanted, headers, tried, record)
        }))
        .await
    }

    fn ask_for_turn(
        &self,
        wanted: &Wanted<'_>,
        headers: Option<&HeaderMap>,
        tried: &[Upstream],
        record: &mut Record,
    ) -> Result<Option<Turn>, NoTurn> {
        let (Asked { host, uri, .. }, session) = (&wanted.asked, wanted.session);
        let Shared {
            config, sessions, ..
        } = &*self.shared;
        let affinity = config.affinity.as_ref();
        loop {
            // Not held for longer than the choice takes, and never while an answer is awaited.
            let table = self.shared.table.load();
            let Some(found) = table.find(host, uri.path()) else {
                return Err(NoTurn::Refused(Refusal::UnknownHost((*host).to_owned())));
            };
            record.belongs_to(&found);
            let Found { site, prefix, .. } = found;
            if let Some(moved) = redirect::of(site, &wanted.asked) {
                return Err(NoTurn::Refused(Refusal::Moved(moved)));
            }
            let known = session.and_then(|session| sessions.find(session.key));
            let having = match (known, session) {
                (Some(Known::Ended), Some(session)) => {
                    return Err(NoTurn::Refused(session.go_away()));
                }
                (Some(Known::At(upstream, socket)), _) => Some((upstream, socket)),
                _ => None,
            };
            let upstreams = match &site.route {
                Route::To(upstreams) => upstreams,
                // Sent elsewhere, if that is a place.
                Route::Redirect(_) => return Err(NoTurn::Refused(Refusal::BadGateway)),
                Route::Unavailable(outage) => {
                    return Err(NoTurn::Refused(Refusal::Unavailable {
                        host: (*host).to_owned(),
                        outage: outage.clone(),
                    }));
                }
            };
            let drains =
                |upstream: &Upstream| upstreams.lets_drain(upstream) || table.lets_drain(upstream);
            let stays = having.as_ref().and_then(|(upstream, socket)| {
                let stays = !upstream.is_serving() && !tried.contains(upstream) && drains(upstream);
                Some((upstream, socket.as_ref().filter(|_| stays)?))
            });
            let having = having.as_ref().map(|(upstream, _)| upstream);
            let owner = upstreams.are_several().then(|| {
                let tokens = affinity.zip(headers).into_iter();
                let tokens = tokens.flat_map(|(affinity, headers)| affinity.tokens(headers));
                upstreams.owner(having, tokens)
            });
            let (first, avoid) = (owner.flatten(), config.avoid_failed);
            let choice = match stays {
                Some((upstream, socket)) => stay(upstream, socket),
                None if wanted.is_newcomer => upstreams.choose_with_room(first, tried, avoid),
                None => upstreams.choose(first, tried, avoid),
            };
            match choice {
                Choice::Upstream(mut open, newcomer) => {
                    let settings = site.settings.as_ref().unwrap_or(&config.site);
                    let in_use = session.and_then(|session| {
                        let receives = session.transport.receives_over_http();
                        sessions.enter(session.key, open.upstream(), receives)
                    });
                    if let Some(in_use) = in_use {
                        open.keep(in_use);
                    }
                    let asset = wanted.asset.as_ref();
                    let replica = asset.and_then(|_| upstreams.serving_at(open.upstream()));
                    return Ok(Some(Turn {
                        origin: replica.map(|replica| site.origin(replica)),
                        is_new: stays.is_none()
                            && owner.is_some_and(|owner| owner != Some(open.upstream())),
                        open,
                        newcomer,
                        settings: Arc::clone(settings),
                        prefix: prefix.len(),
                        strips: site.strip_prefix,
                        hsts: site.hsts.clone().filter(|_| wanted.asked.https),
                    }));
                }
                Choice::NotAdmitted(Some(full)) => return Err(NoTurn::Full(full)),
                Choice::NotAdmitted(None) => return Err(NoTurn::Refused(not_admitted())),
                Choice::Nobody => return Ok(None),
                // The table that took the upstream out is in force already.
                Choice::Outdated => {}
            }
        }
    }

    async fn forward(
        &self,
        mut request: Request<Incoming>,
        wanted: &Wanted<'_>,
        visitor: &Visitor,
        turn: Turn,
        record: &mut Record,
    ) -> Result<Response<ResponseBody>, Refusal> {
        let version = request.version();
        let protocol = headers::requested_upgrade(request.headers(), version);
        let client = protocol.is_some().then(|| hyper::upgrade::on(&mut request));
        let protocol = protocol.as_ref();
        headers::prepare_request(
            request.headers_mut(),
            version,
            wanted.asked.host,
            visitor,
            &self.arrived,
            protocol,
        );
        let (prefix, _) = wanted.asked.uri.path().split_at(turn.prefix);
        if turn.strips && !prefix.is_empty() {
            headers::set_prefix(request.headers_mut(), prefix);
            *request.uri_mut() = target::without_prefix(request.uri(), prefix.len());
        }

        let config = &self.shared.config;
        let outgoing = Outgoing::new(request, config, &turn.settings);
        let asset = wanted.asset.as_ref();
        let spare = asset.and_then(|asset| Some((asset, outgoing.repeatable()?)));
        let mut exchanged = self.exchange(outgoing, wanted, turn, record).await?;
        let mut copy = None;
        if let Some((asset, spare)) = spare {
            match Box::pin(self.look(asset, spare, exchanged, wanted, record)).await {
                Looked::Forward(answered, kept) => (exchanged, copy) = (*answered, kept),
                Looked::Kept(response) => return Ok(*response),
            }
        }
        let ((mut response, connection), turn) = exchanged;
        let Turn {
            open,
            newcomer,
            settings,
            is_new,
            hsts,
            ..
        } = turn;
        if let Some(newcomer) = newcomer {
            newcomer.answered();
        }
        *response.version_mut() = Version::HTTP_11;
        let status = response.status();
        headers::prepare_response(response.headers_mut(), status);
        set_hsts(response.headers_mut(), hsts);
        if let (true, Some(affinity), Some(token)) =
            (is_new, &config.affinity, open.upstream().token())
        {
            affinity.remember(token, prefix, visitor.https, status, response.headers_mut());
        }
        if status == StatusCode::SWITCHING_PROTOCOLS {
            let Some(client) = client else {
                let failure = Failure::UnaskedUpgrade;
                return Err(no_answer(wanted.asked.host, open.upstream(), &failure));
            };
            record.answered(open.upstream(), status);
            let upgraded = UpgradedRecord::begin(record, open.upstream());
            let upstream = hyper::upgrade::on(&mut response);
            let kind = Kind::of(response.headers(), wanted.session.is_some());
            self.relay(client, upstream, kind, (open.upgrade(), upgraded), settings);
            connection.switch();
            return Ok(response.map(|_| ResponseBody::empty()));
        }
        record.answered(open.upstream(), status);
        let (config, idle) = (Arc::clone(config), settings.body_idle);
        let record = record.handed_over();
        let leaving = receiver(wanted, &open).and_then(|(session, socket)| {
            let callback = sockjs_farewell::callback(session.query);
            Leaving::new(
                socket,
                session.transport,
                callback.as_deref(),
                response.headers(),
            )
        });
        let forwarded = |body| {
            let forwarded = ForwardedResponse::new(body, connection, config, idle, open, record);
            forwarded.copied_by(copy).until_asked(leaving)
        };
        Ok(response.map(|body| ResponseBody::Forwarded(forwarded(body))))
    }

    /// Asks one upstream after the other, until one answers or none is left that the request may go to.
    async fn exchange(
        &self,
        mut outgoing: Outgoing,
        wanted: &Wanted<'_>,
        mut turn: Turn,
        record: &mut Record,
    ) -> Result<(Answered, Turn), Refusal> {
        let (mut tried, mut timeouts) = (Vec::new(), 0);
        loop {
            let upstream = turn.open.upstream();
            let config = &self.shared.config;
            record.turned_to(upstream);
            outgoing.count_for(|| record.bill(upstream));
            let exchange = forward::exchange(outgoing, upstream, config, &turn.settings);
            let exchanged = match receiver(wanted, &turn.open) {
                None => exchange.await,
                // In a box, since most requests are none of these.
                Some((session, socket)) => {
                    Box::pin(async {
                        tokio::select! {
                            biased;
                            exchanged = exchange => Ok(exchanged),
                            () = socket.asked() => Err(session.go_away()),
                        }
                    })
                    .await?
                }
            };
            let failed = match exchanged {
                Ok(answered) => return Ok((answered, turn)),
                Err(failed) => failed,
            };
            let refusal = no_answer(wanted.asked.host, upstream, &failed.failure);
            timeouts += usize::from(matches!(failed.failure, Failure::ConnectTimeout));
            tried.push(upstream.clone());
            drop(turn);
            let Some(again) = failed.again.filter(|_| timeouts < MOST_TIMEOUTS) else {
                return Err(refusal);
            };
            let next = self.turn(wanted, None, &tried, record).await?;
            turn = next.ok_or(refusal)?;
            turn.open.upstream().meter().retried();
            outgoing = again;
        }
    }

    /// Relays in the background: hyper switches protocols after the 101 has been written.
    fn relay(
        &self,
        client: OnUpgrade,
        upstream: OnUpgrade,
        kind: Kind,
        counted: (OpenUpgrade, UpgradedRecord),
        settings: Arc<SiteSettings>,
    ) {
        let tasks = self.tasks.clone();
        let open = Arc::clone(&self.open);
        self.tasks.spawn(async move {
            let (counted, record) = counted;
            let _upgraded = open.upgraded();
            let (socket, bill) = (counted.socket(), record.bill());
            let mut relay = pin!(upgrade::relay(
                client, upstream, kind, &settings, bill, socket
            ));
            let ended = tokio::select! {
                ended = relay.as_mut() => ended,
                () = tasks.draining() => {
                    socket.ask();
                    relay.await
                }
            };
            if let Err(error) = ended {
                tracing::debug!(%error, "an upgraded connection broke");
            }
        });
    }
}

/// The session goes on at an upstream that nothing else is sent to.
fn stay(upstream: &Upstream, socket: &Socket) -> Choice {
    match OpenRequest::continue_session(upstream, socket) {
        Some(open) => Choice::Upstream(open, None),
        None => Choice::Outdated,
    }
}

/// The session that receives by the answer to `open`.
fn receiver<'wanted>(
    wanted: &Wanted<'wanted>,
    open: &OpenRequest,
) -> Option<(Session<'wanted>, Arc<Socket>)> {
    let session = wanted.session?;
    let receives = session.transport.receives_over_http();
    Some((session, Arc::clone(open.session().filter(|_| receives)?)))
}

/// Asks again whenever there may be room, for as long as a newcomer has patience.
async fn wait_for_turn(
    first: Upstream,
    mut ask: impl FnMut() -> Result<Option<Turn>, NoTurn>,
) -> Result<Option<Turn>, Refusal> {
    let (mut full, mut is_last) = (first, false);
    let until = Instant::now() + admission::PATIENCE;
    while !is_last {
        is_last = timeout_at(until, full.admission().freed()).await.is_err();
        full = match ask() {
            Ok(turn) => return Ok(turn),
            Err(NoTurn::Refused(refusal)) => return Err(refusal),
            Err(NoTurn::Full(full)) => full,
        };
    }
    Err(not_admitted())
}

fn not_admitted() -> Refusal {
    Refusal::Limited(Limited::NotAdmitted(admission::come_back_after()))
}

/// Tells a browser how to come again, if the app does not.
pub(crate) fn set_hsts(headers: &mut HeaderMap, hsts: Option<HeaderValue>) {
    if let Some(hsts) = hsts {
        let known = headers.entry(STRICT_TRANSPORT_SECURITY);
        known.or_insert(hsts);
    }
}

/// How many upstreams a client waits for that cannot even be connected to.
const MOST_TIMEOUTS: usize = 2;

/// What the client is told of a failure; the log is told all.
fn no_answer(host: &str, upstream: &Upstream, failure: &Failure) -> Refusal {
    tracing::warn!(%host, %upstream, %failure, "no answer from an upstream");
    if !matches!(failure, Failure::Limited(_) | Failure::RequestBody(_)) {
        upstream.meter().unanswered();
    }
    match failure {
        Failure::ConnectTimeout | Failure::AnswerTimeout => Refusal::GatewayTimeout,
        Failure::Connect(_) | Failure::Answer(_) | Failure::UnaskedUpgrade => Refusal::BadGateway,
        Failure::Limited(limited) => Refusal::Limited(*limited),
        Failure::RequestBody(_) => Refusal::BadRequest("The request's body could not be read."),
    }
}
