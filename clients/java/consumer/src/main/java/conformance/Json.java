package conformance;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.Message;
import com.google.protobuf.util.JsonFormat;
import java.util.List;

/** Messages as JSON, and the other way round. */
final class Json {
  private Json() {}

  static JsonObject of(Message message) {
    try {
      return JsonParser.parseString(JsonFormat.printer().print(message)).getAsJsonObject();
    } catch (InvalidProtocolBufferException impossible) {
      throw new IllegalStateException(impossible);
    }
  }

  static JsonArray of(List<? extends Message> messages) {
    JsonArray all = new JsonArray();
    messages.forEach(message -> all.add(of(message)));
    return all;
  }

  /** Reads JSON, null for nothing, into a message of this kind. */
  static <M extends Message> M to(M kind, JsonElement json) {
    Message.Builder builder = kind.newBuilderForType();
    try {
      if (json != null) {
        JsonFormat.parser().merge(json.toString(), builder);
      }
    } catch (InvalidProtocolBufferException bad) {
      throw new Failure("the request can't be read: " + bad.getMessage());
    }
    @SuppressWarnings("unchecked") // A builder builds what it came from.
    M message = (M) builder.build();
    return message;
  }

  static JsonObject object(String name, JsonElement value) {
    JsonObject object = new JsonObject();
    object.add(name, value);
    return object;
  }
}
