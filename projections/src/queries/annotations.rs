//! `GET /monitors/{id}/annotations`, and what an annotation would change.

use async_trait::async_trait;
use axum::Json;
use axum::extract::State;
use chrono::Duration;
use pulsetrail_domain::annotation::Span;
use pulsetrail_domain::{OrganizationId, Timestamp};
use pulsetrail_infra::http::{
    ANNOTATION_COLUMNS, AnnotationBody, AnnotationPreview, Identity, Page, Problem,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::checks::storable;
use super::cursor::AnnotationCursor;
use super::extract::{MonitorPath, Parameters, page_limit};
use super::uptime::{
    Question, Scope, UptimeBody, WindowParameters, corrections, now, read_corrected,
};
use super::{QueryState, require_monitor};

/// Which annotations are listed: those that touch the time from `from` on and before `to`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListParameters {
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    limit: Option<usize>,
    cursor: Option<String>,
}

/// Lists what was said about times of a monitor and not taken back, the latest times first.
#[utoipa::path(
    get,
    path = "/api/v1/monitors/{id}/annotations",
    tag = "history",
    operation_id = "listAnnotations",
    params(
        ("id" = uuid::Uuid, Path, description = "The monitor's id."),
        ("from" = Option<String>, Query, description = "Only those that end after then.", format = DateTime),
        ("to" = Option<String>, Query, description = "Only those that begin before then.", format = DateTime),
        ("limit" = Option<u16>, Query, description = "Items on a page; 100 if it is left out.", minimum = 1, maximum = 1000),
        ("cursor" = Option<String>, Query, description = "The `next_cursor` of the page before."),
    ),
    responses((status = 200, description = "A page of annotations.", body = ref(pulsetrail_infra::http::schema_of::<Page<AnnotationBody>>()))),
    security(("bearer" = []), ("cookie" = [])),
)]
pub(super) async fn list(
    identity: Identity,
    State(state): State<QueryState>,
    MonitorPath(monitor_id): MonitorPath,
    Parameters(parameters): Parameters<ListParameters>,
) -> Result<Json<Page<AnnotationBody>>, Problem> {
    let ListParameters { from, to, limit, cursor } = parameters;
    let limit = page_limit(limit)?;
    let before = cursor.as_deref().map(AnnotationCursor::decode).transpose()?;
    require_monitor(&state.store, identity.organization_id, monitor_id).await?;
    let query = format!(
        "select {ANNOTATION_COLUMNS} from annotations
         where organization_id = $1 and monitor_id = $2 and withdrawn_position is null
           and ($3::timestamptz is null or to_at > $3) and ($4::timestamptz is null or from_at < $4)
           and ($5::timestamptz is null or (from_at, annotation_id) < ($5, $6))
         order by from_at desc, annotation_id desc limit $7"
    );
    let rows = sqlx::query(&query)
        .bind(identity.organization_id.0)
        .bind(monitor_id.0)
        .bind(from.map(storable))
        .bind(to.map(storable))
        .bind(before.map(|before| storable(before.from)))
        .bind(before.map(|before| before.id.0))
        .bind(limit as i64 + 1)
        .fetch_all(&state.store.read)
        .await?;
    let annotations = rows.iter().map(AnnotationBody::from_row).collect::<Result<_, _>>()?;
    Ok(Json(Page::new(annotations, limit, |one: &AnnotationBody| {
        AnnotationCursor { from: one.from, id: one.id }.encode()
    })))
}

/// What an annotation would change: the uptime of the last 30 days, or since its beginning if that is earlier.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "AnnotationPreview")]
pub(super) struct PreviewBody {
    /// Without it.
    before: UptimeBody,
    /// With it.
    after: UptimeBody,
}

#[async_trait]
impl AnnotationPreview for QueryState {
    async fn preview(
        &self,
        organization_id: OrganizationId,
        span: &Span,
    ) -> Result<Value, Problem> {
        let until = now();
        let from = Some(span.from.min(until - Duration::days(30)));
        let window = WindowParameters { from, ..WindowParameters::default() }.window(until)?;
        let question = Question::pin(self, window).await?;
        let monitors = [span.monitor_id.0];
        let scope = Scope { organization_id: organization_id.0, monitors: &monitors };
        let mut known = corrections::load(self, scope, &question, from).await?;
        let before = uptime(self, scope, &question, &known).await?;
        known.add(span.monitor_id.0, span);
        let after = uptime(self, scope, &question, &known).await?;
        serde_json::to_value(PreviewBody { before, after }).map_err(Problem::internal)
    }
}

/// The uptime of the only monitor of a scope.
async fn uptime(
    state: &QueryState,
    scope: Scope<'_>,
    question: &Question,
    known: &corrections::Known,
) -> Result<UptimeBody, Problem> {
    let uptimes = read_corrected(state, scope, question, known).await?;
    let buckets = uptimes.into_values().next().unwrap_or_default();
    Ok(UptimeBody::new(question, &buckets, false))
}
