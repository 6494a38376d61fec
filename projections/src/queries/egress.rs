//! `/egress`: what the shield lets through, and what it refused to the organization.

use axum::Json;
use axum::extract::State;
use pulsetrail_domain::egress::{EgressEvent, EgressOrigin, OWN_RANGE, RANGES};
use pulsetrail_domain::{CheckId, MonitorId, Position, Timestamp};
use pulsetrail_infra::http::{Identity, Page, Problem};
use pulsetrail_infra::store::{EventWithMetadata, count_refusals, read_refusals};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::QueryState;
use super::cursor::BlockCursor;
use super::extract::{NoParameters, Parameters, page_limit};

/// The whole table, row by row, with how often each row refused something to the organization.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct PolicyBody {
    /// Of several ranges that hold an address the most specific one decides. IPv4 that none holds is let
    /// through.
    ranges: Vec<RangeBody>,
    /// Ranges that this installation lets through although the table refuses them.
    allowed: Vec<String>,
}

/// A range of addresses and what becomes of it.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct RangeBody {
    /// The range, such as `10.0.0.0/8`; `pulsetrail` stands for the installation's own addresses.
    range: String,
    /// What it is for.
    name: String,
    /// Who says so.
    source: String,
    /// Whether its addresses may be dialled, but for what is allowed beyond the table.
    reachable: bool,
    /// How often it refused something to the organization.
    blocked: i64,
    /// When last.
    last_blocked_at: Option<Timestamp>,
}

/// A refusal, and where in the log it stands.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct BlockBody {
    position: Position,
    recorded_at: Timestamp,
    /// Where the address met the shield.
    origin: EgressOrigin,
    /// The monitor that led there, if one did.
    monitor_id: Option<MonitorId>,
    /// The check that led there, if one did.
    check_id: Option<CheckId>,
    /// Who asked, where somebody did.
    actor: Option<String>,
    /// The URL that was to be dialled, without a user name, a password or a fragment.
    url: String,
    /// The address, if it stands in the URL; what a name leads to is not told.
    address: Option<String>,
    /// The refused range that the address lies in, such as `10.0.0.0/8`; `pulsetrail` stands for the
    /// installation's own addresses.
    range: String,
    /// What the next page is asked with.
    #[serde(skip)]
    sequence: i64,
}

/// Shows which addresses are dialled and which are not, and how often each range refused something.
#[utoipa::path(
    get,
    path = "/api/v1/egress/policy",
    tag = "egress",
    operation_id = "showEgressPolicy",
    responses((status = 200, description = "The table.", body = ref(pulsetrail_infra::http::schema_of::<PolicyBody>()))),
    security(("bearer" = []), ("cookie" = [])),
)]
pub(super) async fn policy(
    identity: Identity,
    State(state): State<QueryState>,
    Parameters(NoParameters {}): Parameters<NoParameters>,
) -> Result<Json<PolicyBody>, Problem> {
    let counts = count_refusals(&state.store.read, identity.organization_id).await?;
    let row = |range: String, (name, source): (&str, &str), reachable| {
        let count = counts.get(&range);
        RangeBody {
            blocked: count.map_or(0, |(blocked, _)| *blocked),
            last_blocked_at: count.map(|(_, last)| *last),
            name: name.to_owned(),
            source: source.to_owned(),
            range,
            reachable,
        }
    };
    let table = RANGES
        .iter()
        .map(|range| row(range.net.to_string(), (range.name, range.source), range.reachable));
    let own = row(OWN_RANGE.to_owned(), ("listeners and engines", "this installation"), false);
    let allowed = state.egress_allow.iter().map(ToString::to_string).collect();
    Ok(Json(PolicyBody { ranges: table.chain([own]).collect(), allowed }))
}

/// Which refusals are listed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListParameters {
    limit: Option<usize>,
    cursor: Option<String>,
}

/// Lists what the shield refused to the organization, newest first.
#[utoipa::path(
    get,
    path = "/api/v1/egress/blocks",
    tag = "egress",
    operation_id = "listEgressBlocks",
    params(
        ("limit" = Option<u16>, Query, description = "Items on a page; 100 where it is left out.", minimum = 1, maximum = 1000),
        ("cursor" = Option<String>, Query, description = "The `next_cursor` of the page before."),
    ),
    responses((status = 200, description = "A page of refusals, newest first.", body = ref(pulsetrail_infra::http::schema_of::<Page<BlockBody>>()))),
    security(("bearer" = []), ("cookie" = [])),
)]
pub(super) async fn blocks(
    identity: Identity,
    State(state): State<QueryState>,
    Parameters(parameters): Parameters<ListParameters>,
) -> Result<Json<Page<BlockBody>>, Problem> {
    let limit = page_limit(parameters.limit)?;
    let before = parameters.cursor.as_deref().map(BlockCursor::decode).transpose()?;
    let before = before.map_or(i64::MAX, |BlockCursor(sequence)| sequence);
    let (read, organization) = (&state.store.read, identity.organization_id);
    let events = read_refusals(read, organization, before, limit as i64 + 1).await?;
    let blocks = events.into_iter().map(BlockBody::of).collect::<Result<_, _>>()?;
    let cursor = |block: &BlockBody| BlockCursor(block.sequence).encode();
    Ok(Json(Page::new(blocks, limit, cursor)))
}

impl BlockBody {
    fn of(EventWithMetadata { event, metadata }: EventWithMetadata) -> Result<Self, Problem> {
        /// What counts here of an event's metadata.
        #[derive(Deserialize)]
        struct Kept {
            actor: Option<String>,
        }
        let Kept { actor } = serde_json::from_str(metadata.get()).map_err(Problem::internal)?;
        let EgressEvent::EgressBlocked { origin, monitor_id, check_id, url, address, range } =
            event.egress_event().map_err(Problem::internal)?;
        Ok(Self {
            position: event.position,
            recorded_at: event.recorded_at,
            origin,
            monitor_id,
            check_id,
            actor,
            url,
            address,
            range,
            sequence: event.sequence,
        })
    }
}
