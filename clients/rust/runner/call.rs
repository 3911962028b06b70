//! Calls of the API by their names, with messages that are known by their descriptors alone.

use std::collections::HashMap;
use std::time::Duration;

use culld::client::{Connection, request_id};
use prost::Message as _;
use prost_reflect::{
    DescriptorPool, DeserializeOptions, DynamicMessage, MessageDescriptor, MethodDescriptor,
    ReflectMessage as _, SerializeOptions,
};
use serde_json::{Value, json};
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::{Request, Response, Status};

use super::matchers::differs;
use super::{Failure, other};

const MESSAGE_BYTES_MAX: usize = 80 << 20;

/// Bytes as protobuf JSON has them.
pub(crate) fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let all = group.iter().fold(0u32, |all, byte| all << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for at in 0..4 {
            let letter = LETTERS[(all >> (18 - 6 * at)) as usize & 63];
            text.push(if at > group.len() { '=' } else { letter as char });
        }
    }
    text
}

/// A message in protobuf JSON, in the mapping's default form.
pub(crate) fn as_json(message: &DynamicMessage) -> Result<Value, Failure> {
    other(message.serialize_with_options(serde_json::value::Serializer, &SerializeOptions::new()))
}

/// A message from protobuf JSON.
pub(crate) fn from_json(descriptor: MessageDescriptor, value: &Value) -> Result<DynamicMessage, Failure> {
    other(DynamicMessage::deserialize_with_options(descriptor, value, &DeserializeOptions::new()))
}

/// A message of the crate in protobuf JSON.
pub(crate) fn typed_json(
    pool: &DescriptorPool,
    name: &str,
    message: &impl prost::Message,
) -> Result<Value, Failure> {
    let descriptor = pool.get_message_by_name(&format!("culld.v1.{name}"));
    let descriptor = descriptor.ok_or_else(|| Failure::Other(format!("there is no {name}")))?;
    as_json(&other(DynamicMessage::decode(descriptor, &*message.encode_to_vec()))?)
}

/// A message of the crate from protobuf JSON.
pub(crate) fn typed<M: prost::Message + Default>(
    pool: &DescriptorPool,
    name: &str,
    value: &Value,
) -> Result<M, Failure> {
    let descriptor = pool.get_message_by_name(&format!("culld.v1.{name}"));
    let descriptor = descriptor.ok_or_else(|| Failure::Other(format!("there is no {name}")))?;
    let value = if value.is_null() { &json!({}) } else { value };
    other(from_json(descriptor, value)?.transcode_to())
}

/// Encodes and decodes messages of one method.
#[derive(Clone)]
struct Dynamic(MessageDescriptor);

impl Codec for Dynamic {
    type Encode = DynamicMessage;
    type Decode = DynamicMessage;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        self.clone()
    }

    fn decoder(&mut self) -> Self {
        self.clone()
    }
}

impl Encoder for Dynamic {
    type Item = DynamicMessage;
    type Error = Status;

    fn encode(&mut self, item: DynamicMessage, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        item.encode(buffer).map_err(|error| Status::internal(error.to_string()))
    }
}

impl Decoder for Dynamic {
    type Item = DynamicMessage;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<DynamicMessage>, Status> {
        let message = DynamicMessage::decode(self.0.clone(), buffer);
        message.map(Some).map_err(|error| Status::internal(error.to_string()))
    }
}

/// One call that is under way.
struct Call<'a> {
    connection: &'a Connection,
    method: MethodDescriptor,
    path: PathAndQuery,
    deadline: Option<Duration>,
}

impl Call<'_> {
    fn client(&self) -> Grpc<culld::client::Wire> {
        Grpc::new(self.connection.wire())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX)
    }

    async fn ready(&self, client: &mut Grpc<culld::client::Wire>) -> Result<Dynamic, Status> {
        client.ready().await.map_err(|error| Status::from_error(Box::new(error)))?;
        Ok(Dynamic(self.method.output()))
    }

    async fn unary(&self, mut request: DynamicMessage) -> Result<Value, Failure> {
        let id = request.descriptor().get_field_by_name("request_id");
        if let Some(id) = id.filter(|id| !request.has_field(id)) {
            request.set_field(&id, prost_reflect::Value::String(request_id()));
        }
        let mut client = self.client();
        let send = async |request: Request<DynamicMessage>| -> Result<Response<DynamicMessage>, Status> {
            let codec = self.ready(&mut client).await?;
            client.unary(request, self.path.clone(), codec).await
        };
        let answer = self.connection.call(request, self.deadline, send).await?;
        as_json(&answer)
    }

    /// The messages of a stream, until `enough` says so of the last.
    async fn stream(
        &self,
        request: DynamicMessage,
        mut enough: impl FnMut(&[Value]) -> bool,
    ) -> Result<Vec<Value>, Failure> {
        let read = async {
            let mut client = self.client();
            let codec = self.ready(&mut client).await?;
            let mut attempt = Request::new(request);
            if let Some(deadline) = self.deadline {
                attempt.set_timeout(deadline);
            }
            let mut stream = client.server_streaming(attempt, self.path.clone(), codec).await?.into_inner();
            let mut messages = Vec::new();
            while let Some(message) = stream.message().await? {
                messages.push(as_json(&message)?);
                if enough(&messages) {
                    break;
                }
            }
            Ok(messages)
        };
        match self.deadline {
            None => read.await,
            Some(deadline) => {
                let late = |_| Failure::from(Status::deadline_exceeded("the stream takes too long"));
                tokio::time::timeout(deadline, read).await.map_err(late).flatten()
            }
        }
    }
}

/// The last message with what all of them have in one field.
fn collected(messages: Vec<Value>, name: &str) -> Value {
    let entries: Vec<Value> =
        messages.iter().filter_map(|message| message[name].as_array()).flatten().cloned().collect();
    let count = messages.len();
    let mut last = messages.into_iter().next_back().unwrap_or_else(|| json!({}));
    last[name] = entries.into();
    last["messages"] = json!(count);
    last
}

/// The answer of a `call` step.
pub(crate) async fn answer(
    pool: &DescriptorPool,
    ids: &HashMap<String, String>,
    connection: &Connection,
    step: &Value,
) -> Result<Value, Failure> {
    let name = step["call"].as_str().unwrap_or_default();
    let (service, method) = name.split_once('/').unwrap_or_default();
    let service = pool.get_service_by_name(&format!("culld.v1.{service}"));
    let method = service.and_then(|service| service.methods().find(|found| found.name() == method));
    let method = method.ok_or_else(|| Failure::Other(format!("there is no {name}")))?;
    let mut request = step["request"].clone();
    if request.is_null() {
        request = json!({});
    }
    let call = Call {
        connection,
        path: other(format!("/culld.v1.{name}").parse())?,
        deadline: step["deadline"].as_f64().map(Duration::from_secs_f64),
        method,
    };
    let made = |request: &Value| from_json(call.method.input(), request);
    if !call.method.is_server_streaming() {
        let Some(field) = step["collect"].as_str() else { return call.unary(made(&request)?).await };
        let mut pages = Vec::new();
        loop {
            let page = call.unary(made(&request)?).await?;
            let token = page["nextPageToken"].clone();
            pages.push(page);
            if token.is_null() {
                return Ok(collected(pages, field));
            }
            request["pageToken"] = token;
        }
    }
    let take = step["take"].as_u64();
    let until = step.get("until");
    let enough = |messages: &[Value]| {
        let found = |until: &Value| differs(ids, until, messages.last(), "").is_none();
        take.is_some_and(|take| messages.len() as u64 >= take) || until.is_some_and(found)
    };
    if let Some(seconds) = step["cancel_after"].as_f64() {
        // A future that is dropped cancels its call.
        let read = call.stream(made(&request)?, enough);
        let left = |_| Failure::from(Status::cancelled("left"));
        let messages =
            tokio::time::timeout(Duration::from_secs_f64(seconds), read).await.map_err(left).flatten()?;
        return Ok(json!({"messages": messages}));
    }
    let messages = call.stream(made(&request)?, enough).await?;
    Ok(match step["collect"].as_str() {
        Some(field) => collected(messages, field),
        None => json!({"messages": messages}),
    })
}
