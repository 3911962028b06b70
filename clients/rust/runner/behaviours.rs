//! What can't be said by data.

use std::collections::HashSet;
use std::error::Error;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Instant;

use culld::client::watch::{Change, Watched, snapshot, watch};
use culld::client::{Connection, Options, add, request_id, transfer};
use culld::proto;
use serde_json::{Value, json};
use tokio::sync::watch as signal;
use tonic::Status;

use super::call::{typed, typed_json};
use super::{Failure, Flags, Runner, other};

const PAGE_SIZE: u32 = 1000;

fn text<'a>(given: &'a Value, name: &str) -> &'a str {
    given[name].as_str().unwrap_or_default()
}

/// Every file below a folder, by name.
fn files(folder: &Path, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    let mut entries = std::fs::read_dir(folder)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()?;
    entries.sort();
    for path in entries {
        if path.is_dir() { files(&path, found)? } else { found.push(path) }
    }
    Ok(())
}

fn read(key: String, path: &Path) -> std::io::Result<proto::NewImage> {
    Ok(proto::NewImage { key, data: std::fs::read(path)?, ..proto::NewImage::default() })
}

/// Images of a folder, read when there is room for them; keys are paths below the folder.
fn folder_images(folder: PathBuf) -> std::io::Result<impl Iterator<Item = proto::NewImage>> {
    let mut paths = Vec::new();
    files(&folder, &mut paths)?;
    Ok(paths.into_iter().filter_map(move |path| {
        let key = path.strip_prefix(&folder).ok()?.to_str()?.replace('\\', "/");
        read(key, &path).ok()
    }))
}

type Images = Box<dyn Iterator<Item = proto::NewImage> + Send>;

async fn stream(
    connection: &Connection,
    collection: &str,
    tags: Vec<String>,
    images: Images,
    told: impl AsyncFnMut(proto::AddOutcome) -> ControlFlow<()>,
) -> Result<(), Box<Status>> {
    let header = proto::AddImagesHeader { collection: collection.to_owned(), tags };
    let mut client = connection.images();
    let open = async |requests| client.add_images(requests).await;
    add::add(connection.retry(), header, tokio_stream::iter(images), open, told).await
}

/// Adds a folder; says how long it took, and in how much memory.
pub(crate) async fn bench(flags: &Flags, folder: &Path) -> Result<Value, Box<dyn Error>> {
    let options =
        Options { address: flags.address.clone(), token: flags.token.clone(), ..Options::default() };
    let connection = Connection::new(&options)?;
    let collection = format!("bench-{}", &request_id()[..8]);
    let request = proto::CreateCollectionRequest { collection: collection.clone(), request_id: request_id() };
    connection.collections().create_collection(request).await?;
    let mut added = 0;
    let started = Instant::now();
    stream(
        &connection,
        &collection,
        Vec::new(),
        Box::new(folder_images(folder.to_owned())?),
        async |outcome| {
            added += u64::from(outcome.status() == proto::AddStatus::Added);
            ControlFlow::Continue(())
        },
    )
    .await?;
    let seconds = started.elapsed().as_secs_f64();
    let request = proto::DeleteCollectionRequest { collection, request_id: request_id() };
    connection.collections().delete_collection(request).await?;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
    let peak = peak.and_then(|kib| kib.parse::<f64>().ok()).unwrap_or_default() / 1024.0;
    Ok(json!({"images": added, "seconds": seconds, "peak_mib": peak}))
}

/// All entries of a listing, in protobuf JSON.
macro_rules! listed {
    ($runner:ident, $connection:ident, $request:expr, $service:ident.$method:ident, $field:ident, $name:literal) => {{
        let mut request = $request;
        request.page_size = PAGE_SIZE;
        let mut entries = Vec::new();
        loop {
            let mut client = $connection.$service();
            let call = async |request| client.$method(request).await;
            let page = $connection.call(request.clone(), None, call).await?;
            for entry in &page.$field {
                entries.push(typed_json(&$runner.pool, $name, entry)?);
            }
            if page.next_page_token.is_empty() {
                break entries;
            }
            request.page_token = page.next_page_token;
        }
    }};
}

impl Runner {
    /// One behaviour.
    pub(crate) async fn behave(
        &self,
        connection: &Connection,
        behaviour: &str,
        given: &Value,
    ) -> Result<Value, Failure> {
        let collection = text(given, "collection").to_owned();
        let pool = &self.pool;
        match behaviour {
            "add" => self.add(connection, &collection, given).await,
            "images" => {
                let filter = Some(typed(pool, "ImageFilter", &given["filter"])?);
                let with_embeddings = given["withEmbeddings"] == json!(true);
                let request =
                    proto::ListImagesRequest { collection, filter, with_embeddings, ..Default::default() };
                Ok(json!({"images": listed!(self, connection, request, images.list_images, images, "Image")}))
            }
            "clusters" => {
                let request = proto::ListClustersRequest { collection, ..Default::default() };
                let clusters =
                    listed!(self, connection, request, clusterings.list_clusters, clusters, "Cluster");
                Ok(json!({"clusters": clusters}))
            }
            "members" => {
                let cluster_id = given["clusterId"].as_str().and_then(|id| id.parse().ok());
                let request = proto::ListMembersRequest { collection, cluster_id, ..Default::default() };
                let members = listed!(self, connection, request, clusterings.list_members, members, "Member");
                Ok(json!({"members": members}))
            }
            "decisions" => self.decisions(connection, collection, given).await,
            "thumbnails" => self.thumbnails(connection, collection, given).await,
            "recluster" => {
                let parameters = Some(typed(pool, "Parameters", &given["parameters"])?)
                    .filter(|parameters: &proto::Parameters| parameters.algorithm.is_some());
                let parameters = parameters.or(Some(proto::Parameters {
                    algorithm: Some(proto::parameters::Algorithm::Auto(proto::AutoParameters {})),
                }));
                let request = proto::ReclusterRequest {
                    collection,
                    parameters,
                    request_id: request_id(),
                    ..Default::default()
                };
                let mut client = connection.clusterings();
                let started = connection.call(request, None, async |request| client.recluster(request).await);
                let name = started.await?.operation.unwrap_or_default().name;
                let operation = self.wait(connection, &name).await?;
                Ok(json!({"clustering": operation["clustering"]}))
            }
            "wait" => Ok(json!({"operation": self.wait(connection, text(given, "name")).await?})),
            "review" => self.review(connection, collection, given).await,
            "transfer" => self.transfer(connection, &collection, given).await,
            "watch" => self.watch(connection, collection, given).await,
            _ => Err(Failure::Other(format!("there is no behaviour {behaviour}"))),
        }
    }

    async fn transfer(
        &self,
        connection: &Connection,
        collection: &str,
        given: &Value,
    ) -> Result<Value, Failure> {
        let folder = other(tempfile::tempdir())?;
        let path = folder.path().join("collection.tar");
        let mut collections = connection.collections();
        let request = proto::ExportCollectionRequest { collection: collection.to_owned() };
        let pieces = collections.export_collection(request).await?.into_inner();
        let bytes = transfer::export(pieces, &path, |_| {}).await?;
        if let Some(cut) = given["cut"].as_u64() {
            let file = other(std::fs::OpenOptions::new().write(true).open(&path))?;
            other(file.set_len(cut))?;
        }
        let header = proto::ImportCollectionHeader {
            collection: text(given, "to").to_owned(),
            request_id: request_id(),
        };
        let open = async |requests| collections.import_collection(requests).await;
        let made = transfer::import(&path, header, open, |_| {}).await?;
        let mut answer = typed_json(&self.pool, "ImportCollectionResponse", &made)?;
        answer["bytes"] = json!(bytes);
        Ok(answer)
    }

    async fn add(&self, connection: &Connection, collection: &str, given: &Value) -> Result<Value, Failure> {
        let names = |name: &str| -> Vec<String> {
            let list = given[name].as_array().into_iter().flatten();
            list.filter_map(Value::as_str).map(str::to_owned).collect()
        };
        let images: Images = if let Some(folder) = given["folder"].as_str() {
            Box::new(other(folder_images(self.flags.pictures.join(folder)))?)
        } else if given.get("paths").is_some() {
            let paths = names("paths").into_iter().map(|path| self.flags.pictures.join(path));
            let images = paths.map(|path| read(path.to_string_lossy().into_owned(), &path));
            Box::new(other(images.collect::<Result<Vec<_>, _>>())?.into_iter())
        } else {
            let images = given["images"].as_array().into_iter().flatten();
            let images = images.map(|image| typed::<proto::NewImage>(&self.pool, "NewImage", image));
            Box::new(images.collect::<Result<Vec<_>, _>>()?.into_iter())
        };
        let restart_after = given["restart_after"].as_u64();
        let cancel_after = given["cancel_after"].as_u64();
        let mut outcomes = Vec::new();
        let mut problem = None;
        let told = async |outcome: proto::AddOutcome| {
            outcomes.push(outcome);
            let count = outcomes.len() as u64;
            if restart_after == Some(count) {
                problem = self.control("restart").await.err();
            }
            if cancel_after == Some(count) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        stream(connection, collection, names("tags"), images, told).await?;
        if let Some(problem) = problem {
            return Err(problem);
        }
        let listed = outcomes.iter().map(|outcome| typed_json(&self.pool, "AddOutcome", outcome));
        let listed = listed.collect::<Result<Vec<_>, _>>()?;
        Ok(match cancel_after {
            Some(_) => json!({"outcomes": listed, "cancelled": true}),
            None => json!({"outcomes": listed, "progress": outcomes.len()}),
        })
    }

    async fn decisions(
        &self,
        connection: &Connection,
        collection: String,
        given: &Value,
    ) -> Result<Value, Failure> {
        let filter = Some(typed(&self.pool, "ImageFilter", &given["filter"])?);
        let full = text(given, "view") == "DECISION_VIEW_FULL";
        let view = if full { proto::DecisionView::Full } else { proto::DecisionView::Basic };
        let (decisions, token) = snapshot(connection, &Watched { collection, filter, view }).await?;
        let listed = decisions.iter().map(|decision| typed_json(&self.pool, "Decision", decision));
        Ok(json!({"decisions": listed.collect::<Result<Vec<_>, _>>()?, "token": token}))
    }

    async fn thumbnails(
        &self,
        connection: &Connection,
        collection: String,
        given: &Value,
    ) -> Result<Value, Failure> {
        let ids = given["imageIds"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let mut image_ids: Vec<String> = ids.map(str::to_owned).collect();
        let mut thumbnails = Vec::new();
        while !image_ids.is_empty() {
            let rest = image_ids.split_off(image_ids.len().min(100));
            let request = proto::BatchGetThumbnailsRequest { collection: collection.clone(), image_ids };
            let mut client = connection.images();
            let call = async |request| client.batch_get_thumbnails(request).await;
            let answer = connection.call(request, None, call).await?;
            for thumbnail in &answer.thumbnails {
                thumbnails.push(typed_json(&self.pool, "Thumbnail", thumbnail)?);
            }
            image_ids = answer.remaining_image_ids.into_iter().chain(rest).collect();
        }
        Ok(json!({"thumbnails": thumbnails}))
    }

    async fn wait(&self, connection: &Connection, name: &str) -> Result<Value, Failure> {
        loop {
            let request = proto::WaitOperationRequest { name: name.to_owned(), timeout: None };
            let mut client = connection.admin();
            let call = async |request| client.wait_operation(request).await;
            let operation = connection.call(request, None, call).await?.operation.unwrap_or_default();
            if !operation.done {
                continue;
            }
            if let Some(proto::operation::Result::Error(error)) = &operation.result {
                return Err(Status::new(error.code.into(), error.message.clone()).into());
            }
            return typed_json(&self.pool, "Operation", &operation);
        }
    }

    async fn review(
        &self,
        connection: &Connection,
        collection: String,
        given: &Value,
    ) -> Result<Value, Failure> {
        let reviewer = text(given, "reviewer").to_owned();
        let next = async || {
            let request = proto::NextReviewRequest {
                collection: collection.clone(),
                reviewer: reviewer.clone(),
                ..Default::default()
            };
            let mut client = connection.decisions();
            connection.call(request, None, async |request| client.next_review(request).await).await
        };
        let (mut items, mut answers) = (Vec::new(), Vec::new());
        for answer in given["answers"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            let item =
                next().await?.item.ok_or_else(|| Failure::Other("nothing is left to ask".to_owned()))?;
            items.push(typed_json(&self.pool, "ReviewItem", &item)?);
            let answer = proto::ReviewAnswer::from_str_name(answer).unwrap_or_default();
            let request = proto::AnswerReviewRequest {
                collection: collection.clone(),
                item_id: item.item_id,
                answer: answer.into(),
                actor: reviewer.clone(),
                request_id: request_id(),
                ..Default::default()
            };
            let mut client = connection.decisions();
            let call = async |request| client.answer_review(request).await;
            let answered = connection.call(request, None, call).await?;
            answers.push(typed_json(&self.pool, "AnswerReviewResponse", &answered)?);
        }
        let judgements = next().await?.estimate.unwrap_or_default().judgements;
        Ok(json!({"items": items, "answers": answers, "judgements": judgements}))
    }

    async fn watch(
        &self,
        connection: &Connection,
        collection: String,
        given: &Value,
    ) -> Result<Value, Failure> {
        let images = given["add"].as_array().into_iter().flatten();
        let images = images.map(|image| typed::<proto::NewImage>(&self.pool, "NewImage", image));
        let images = images.collect::<Result<Vec<_>, _>>()?;
        let restart = given["restart"] == json!(true);
        let (heard, mut hears) = signal::channel(HashSet::<String>::new());
        let adding = async {
            let last = images.len().saturating_sub(1);
            for (at, image) in images.into_iter().enumerate() {
                if restart && at == last {
                    self.control("restart").await?;
                }
                let request = proto::AddImageRequest {
                    collection: collection.clone(),
                    image: Some(image),
                    request_id: request_id(),
                };
                let mut client = connection.images();
                let call = async |request| client.add_image(request).await;
                let id = connection.call(request, None, call).await?.outcome.unwrap_or_default().image_id;
                other(hears.wait_for(|heard| heard.contains(&id)).await.map(drop))?;
            }
            Ok::<(), Failure>(())
        };
        let mut changes = Vec::new();
        let mut resyncs = 0;
        let watched = Watched { collection: collection.clone(), ..Watched::default() };
        let watching = watch(connection, watched, text(given, "since").to_owned(), async |change| {
            match change {
                Change::Resync => resyncs += 1,
                Change::Removed(removal) => changes.push(Err(removal)),
                Change::Decision(decision) => {
                    let id = decision.image_id.clone();
                    changes.push(Ok(decision));
                    heard.send_modify(|heard| {
                        heard.insert(id);
                    });
                }
            }
            ControlFlow::Continue(())
        });
        tokio::select! {
            added = adding => added?,
            ended = watching => ended?,
        }
        let listed = changes.iter().map(|change| match change {
            Ok(decision) => {
                let told = typed_json(&self.pool, "Decision", &**decision)?;
                Ok(json!({"imageId": decision.image_id, "decision": told}))
            }
            Err(removal) => {
                Ok(json!({"imageId": removal.image_id, "removed": removal.reason().as_str_name()}))
            }
        });
        Ok(json!({"changes": listed.collect::<Result<Vec<_>, Failure>>()?, "resyncs": resyncs}))
    }
}
