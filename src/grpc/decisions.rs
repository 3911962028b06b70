//! Verdicts and decisions.

use std::sync::Arc;

use prost::Message as _;
use tonic::{Request, Response, Status};

use crate::decide::Decision;
use crate::decide::quality::Rates;
use crate::engine::{
    Collection, DecisionReader, Engine, EngineError, EvaluateOptions, RequestKey, TRUE_LABELS_MAX,
};
use crate::proto;
use crate::proto::decision_service_server::DecisionService;
use crate::types::ImageId;

use super::status::{invalid, on_collection, status};
use super::{Shared, caller, convert, events, fetch, review, watch};

/// Images of one batch at most.
const BATCH_MAX: usize = 1000;
/// Images told of a key that names several, at most.
const AMBIGUOUS_IDS_MAX: usize = 10;

/// The service over an engine.
pub(super) struct Decisions(pub(super) Arc<Shared>);

impl Decisions {
    fn engine(&self) -> &Arc<Engine> {
        &self.0.engine
    }
}

#[tonic::async_trait]
impl DecisionService for Decisions {
    type FetchDecisionsStream = fetch::Messages;
    type WatchDecisionsStream = watch::Messages;

    async fn set_verdict(
        &self,
        request: Request<proto::SetVerdictRequest>,
    ) -> Result<Response<proto::SetVerdictResponse>, Status> {
        let request = request.into_inner();
        caller::reach(&request.collection)?;
        let key =
            RequestKey::of("SetVerdict", &request.request_id, &request.encode_to_vec()).map_err(status)?;
        let name = request.collection.clone();
        let verdict = convert::verdict_from(request)?;
        let set = move |collection: Arc<Collection>| collection.set_verdict(&verdict, key.as_ref());
        let answer = on_collection(self.engine(), name, set).await?;
        Ok(Response::new(proto::SetVerdictResponse {
            event_sequence: answer.event,
            labelled: answer.labelled,
            exceptions: answer.exceptions,
            changed: answer.changed,
        }))
    }

    async fn batch_get_decisions(
        &self,
        request: Request<proto::BatchGetDecisionsRequest>,
    ) -> Result<Response<proto::BatchGetDecisionsResponse>, Status> {
        let request = request.into_inner();
        caller::reach(&request.collection)?;
        let asked = request.image_ids.len() + request.source_keys.len();
        if asked > BATCH_MAX {
            return Err(invalid("image_ids", format!("{asked} images, at most {BATCH_MAX} are allowed")));
        }
        let ids: Vec<ImageId> = convert::image_ids("image_ids", &request.image_ids)?;
        let name = request.collection.clone();
        let get = move |collection: Arc<Collection>| batch(&collection, &ids, request);
        Ok(Response::new(on_collection(self.engine(), name, get).await?))
    }

    async fn fetch_decisions(
        &self,
        request: Request<proto::FetchDecisionsRequest>,
    ) -> Result<Response<Self::FetchDecisionsStream>, Status> {
        Ok(Response::new(fetch::start(&self.0, request.into_inner()).await?))
    }

    async fn watch_decisions(
        &self,
        request: Request<proto::WatchDecisionsRequest>,
    ) -> Result<Response<Self::WatchDecisionsStream>, Status> {
        Ok(Response::new(watch::start(&self.0, request.into_inner()).await?))
    }

    async fn list_events(
        &self,
        request: Request<proto::ListEventsRequest>,
    ) -> Result<Response<proto::ListEventsResponse>, Status> {
        Ok(Response::new(events::list(self.engine(), request.into_inner()).await?))
    }

    async fn explain_decision(
        &self,
        request: Request<proto::ExplainDecisionRequest>,
    ) -> Result<Response<proto::ExplainDecisionResponse>, Status> {
        let request = request.into_inner();
        caller::reach(&request.collection)?;
        let image = convert::image_id("image_id", &request.image_id)?;
        let explained = on_collection(self.engine(), request.collection, move |collection| {
            let explanation = collection.decisions().explain(&image)?;
            Ok(convert::explanation(explanation, collection.space()))
        });
        Ok(Response::new(explained.await?))
    }

    async fn evaluate(
        &self,
        request: Request<proto::EvaluateRequest>,
    ) -> Result<Response<proto::EvaluateResponse>, Status> {
        let request = request.into_inner();
        caller::reach(&request.collection)?;
        if request.labels.len() > TRUE_LABELS_MAX {
            let description =
                format!("has {} entries, at most {TRUE_LABELS_MAX} are allowed", request.labels.len());
            return Err(invalid("labels", description));
        }
        let rates = rates(&request)?;
        let options = EvaluateOptions {
            judgements: request.judgements,
            rates,
            noise_as_discard: request.noise_as_discard,
        };
        let labels: Vec<_> =
            request.labels.into_iter().map(convert::true_label_from).collect::<Result<_, _>>()?;
        let evaluate = move |collection: Arc<Collection>| collection.evaluate(&labels, &options);
        let found = on_collection(self.engine(), request.collection, evaluate).await?;
        Ok(Response::new(convert::evaluation(&found)))
    }

    async fn next_review(
        &self,
        request: Request<proto::NextReviewRequest>,
    ) -> Result<Response<proto::NextReviewResponse>, Status> {
        Ok(Response::new(review::next(self.engine(), request.into_inner()).await?))
    }

    async fn answer_review(
        &self,
        request: Request<proto::AnswerReviewRequest>,
    ) -> Result<Response<proto::AnswerReviewResponse>, Status> {
        Ok(Response::new(review::answer(self.engine(), request.into_inner()).await?))
    }

    async fn preview_verdict(
        &self,
        request: Request<proto::PreviewVerdictRequest>,
    ) -> Result<Response<proto::PreviewVerdictResponse>, Status> {
        Ok(Response::new(review::preview(self.engine(), request.into_inner()).await?))
    }

    async fn undo_event(
        &self,
        request: Request<proto::UndoEventRequest>,
    ) -> Result<Response<proto::UndoEventResponse>, Status> {
        Ok(Response::new(review::undo(self.engine(), request.into_inner()).await?))
    }
}

fn rates(request: &proto::EvaluateRequest) -> Result<Rates, Status> {
    let default = Rates::default();
    let rate = |field: &str, value: Option<f64>, default: f64| match value {
        Some(value) if !value.is_finite() || value < 0.0 => {
            Err(invalid(field, format!("is {value}, but must be a number from 0")))
        }
        value => Ok(value.unwrap_or(default)),
    };
    Ok(Rates {
        seconds_per_judgement: rate(
            "seconds_per_judgement",
            request.seconds_per_judgement,
            default.seconds_per_judgement,
        )?,
        per_hour: rate("rate_per_hour", request.rate_per_hour, default.per_hour)?,
        by_hand_per_100: rate("by_hand_per_100", request.by_hand_per_100, default.by_hand_per_100)?,
        session: rate("session_cost", request.session_cost, default.session)?,
    })
}

fn batch(
    collection: &Collection,
    ids: &[ImageId],
    request: proto::BatchGetDecisionsRequest,
) -> Result<proto::BatchGetDecisionsResponse, EngineError> {
    let reader = collection.decisions();
    let mut found = Vec::new();
    let mut unknown = Vec::new();
    for image in ids {
        match reader.get(image) {
            Some(decision) => found.push((*image, decision)),
            None => unknown.push(image.to_string()),
        }
    }
    let view = request.view();
    let mut ambiguous = Vec::new();
    for source_key in request.source_keys {
        let mut images = collection.images_at(&source_key)?;
        images.retain(|image| reader.get(image).is_some());
        match images[..] {
            [] => unknown.push(source_key),
            [image] => found.extend(reader.get(&image).map(|decision| (image, decision))),
            _ => {
                let image_ids = images.iter().take(AMBIGUOUS_IDS_MAX).map(ToString::to_string).collect();
                ambiguous.push(proto::AmbiguousKey { source_key, image_ids });
            }
        }
    }
    let decisions = in_view(&reader, view, &found)?;
    let generation = reader.generation().0;
    Ok(proto::BatchGetDecisionsResponse { decisions, unknown, generation, ambiguous })
}

/// Decisions as far as the caller wants to know.
pub(super) fn in_view(
    reader: &DecisionReader<'_>,
    view: proto::DecisionView,
    found: &[(ImageId, Decision)],
) -> Result<Vec<proto::Decision>, EngineError> {
    match view {
        proto::DecisionView::Unspecified | proto::DecisionView::Basic => {
            let basic = |(image, decision): &(ImageId, Decision)| {
                convert::basic_decision(image, *decision, reader.revision(image))
            };
            Ok(found.iter().map(basic).collect())
        }
        proto::DecisionView::Full => {
            let images: Vec<ImageId> = found.iter().map(|(image, _)| *image).collect();
            Ok(reader.full(&images)?.into_iter().map(convert::full_decision).collect())
        }
    }
}
