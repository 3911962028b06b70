package conformance;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonPrimitive;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;

/** Compares answers with what is expected. What is absent is null. */
final class Matchers {
  private static final int SHOWN_MAX = 300;

  private final Map<String, String> ids;

  Matchers(Map<String, String> ids) {
    this.ids = ids;
  }

  boolean matches(JsonElement wanted, JsonElement value) {
    return differs(wanted, value, "answer").isEmpty();
  }

  /** Where the value is not as wanted; empty where it is. */
  String differs(JsonElement wanted, JsonElement value, String where) {
    if (wanted.isJsonObject()) {
      return differsFromObject(wanted.getAsJsonObject(), value, where);
    }
    if (wanted.isJsonArray()) {
      return differsFromList(wanted.getAsJsonArray(), value, where);
    }
    boolean same = value == null ? isDefault(wanted.getAsJsonPrimitive()) : isSame(wanted.getAsJsonPrimitive(), value);
    return same ? "" : where + ": " + shown(value) + " is not " + wanted;
  }

  private String differsFromObject(JsonObject wanted, JsonElement value, String where) {
    boolean fields = wanted.size() == 0;
    for (var entry : wanted.entrySet()) {
      if (!entry.getKey().startsWith("$")) {
        fields = true;
      } else if (!special(entry.getKey(), entry.getValue(), value)) {
        return where + ": " + shown(value) + " is not " + entry.getKey() + " " + shown(entry.getValue());
      }
    }
    if (!fields) {
      return "";
    }
    if (value == null || !value.isJsonObject()) {
      return where + ": " + shown(value) + " is no object";
    }
    for (var entry : wanted.entrySet()) {
      if (!entry.getKey().startsWith("$")) {
        String name = entry.getKey();
        String differs = differs(entry.getValue(), value.getAsJsonObject().get(name), where + "." + name);
        if (!differs.isEmpty()) {
          return differs;
        }
      }
    }
    return "";
  }

  private String differsFromList(JsonArray wanted, JsonElement value, String where) {
    List<JsonElement> entries = list(value);
    if ((value != null && !value.isJsonArray()) || entries.size() != wanted.size()) {
      return where + ": " + shown(value) + " is no list of " + wanted.size();
    }
    for (int i = 0; i < entries.size(); i++) {
      String differs = differs(wanted.get(i), entries.get(i), where + "." + i);
      if (!differs.isEmpty()) {
        return differs;
      }
    }
    return "";
  }

  private boolean special(String name, JsonElement wanted, JsonElement value) {
    return switch (name) {
      case "$any" -> value != null;
      case "$absent" -> value == null;
      case "$gt" -> number(value) > number(wanted);
      case "$ge" -> number(value) >= number(wanted);
      case "$lt" -> number(value) < number(wanted);
      case "$le" -> number(value) <= number(wanted);
      case "$near" -> {
        JsonArray near = wanted.getAsJsonArray();
        yield Math.abs(number(value) - number(near.get(0))) <= number(near.get(1));
      }
      case "$length" -> matches(wanted, new JsonPrimitive(length(value)));
      case "$each" -> list(value).stream().allMatch(entry -> matches(wanted, entry));
      case "$some" -> list(value).stream().anyMatch(entry -> matches(wanted, entry));
      case "$count" -> {
        JsonArray count = wanted.getAsJsonArray();
        long found = list(value).stream().filter(entry -> matches(count.get(0), entry)).count();
        yield matches(count.get(1), new JsonPrimitive(found));
      }
      case "$not" -> !matches(wanted, value);
      case "$matches" -> isText(value) && Pattern.compile(wanted.getAsString()).matcher(value.getAsString()).find();
      case "$unordered" -> sorted(value).equals(sorted(wanted));
      case "$ascending" -> isOrdered(value, wanted.getAsString(), 1);
      case "$descending" -> isOrdered(value, wanted.getAsString(), -1);
      case "$distinct" -> {
        List<String> values = texts(value, wanted.getAsString());
        yield new HashSet<>(values).size() == values.size();
      }
      case "$image_of" -> isImageOf(wanted.getAsString(), value);
      default -> throw new Failure("no such matcher: " + name);
    };
  }

  private boolean isImageOf(String folder, JsonElement value) {
    if (value == null || !value.isJsonObject() || !value.getAsJsonObject().has("key")) {
      return false;
    }
    String key = value.getAsJsonObject().get("key").getAsString();
    String id = ids.get(folder.isEmpty() ? key : folder + "/" + key);
    JsonElement imageId = value.getAsJsonObject().get("imageId");
    return id != null && imageId != null && id.equals(imageId.getAsString());
  }

  private static boolean isDefault(JsonPrimitive wanted) {
    return wanted.isNumber() ? wanted.getAsDouble() == 0 : wanted.isString() ? wanted.getAsString().isEmpty() : !wanted.getAsBoolean();
  }

  private static boolean isSame(JsonPrimitive wanted, JsonElement value) {
    if (!value.isJsonPrimitive()) {
      return false;
    }
    if (!wanted.isNumber()) {
      return wanted.equals(value);
    }
    try {
      return !value.getAsJsonPrimitive().isBoolean() && value.getAsDouble() == wanted.getAsDouble();
    } catch (NumberFormatException notANumber) {
      return false;
    }
  }

  private static boolean isText(JsonElement value) {
    return value != null && value.isJsonPrimitive() && value.getAsJsonPrimitive().isString();
  }

  private static double number(JsonElement value) {
    return value == null ? 0 : value.getAsDouble();
  }

  private static int length(JsonElement value) {
    if (value == null) {
      return 0;
    }
    if (value.isJsonArray()) {
      return value.getAsJsonArray().size();
    }
    return value.isJsonObject() ? value.getAsJsonObject().size() : value.getAsString().length();
  }

  private static List<JsonElement> list(JsonElement value) {
    return value != null && value.isJsonArray() ? value.getAsJsonArray().asList() : List.of();
  }

  private static List<String> sorted(JsonElement value) {
    return list(value).stream().map(JsonElement::getAsString).sorted().toList();
  }

  private static List<String> texts(JsonElement value, String path) {
    return list(value).stream().map(entry -> String.valueOf(at(entry, path))).toList();
  }

  private static boolean isOrdered(JsonElement value, String path, int sign) {
    double[] numbers = list(value).stream().mapToDouble(entry -> sign * number(at(entry, path))).toArray();
    for (int i = 1; i < numbers.length; i++) {
      if (numbers[i - 1] > numbers[i]) {
        return false;
      }
    }
    return true;
  }

  /** What lies at a path; null where nothing does. */
  static JsonElement at(JsonElement value, String path) {
    JsonElement here = value;
    String[] names = path.split("\\.");
    for (int depth = 0; depth < names.length; depth++) {
      if (here == null) {
        return null;
      }
      if (names[depth].equals("*")) {
        String rest = String.join(".", List.of(names).subList(depth + 1, names.length));
        JsonArray all = new JsonArray();
        List<JsonElement> entries = new ArrayList<>(list(here));
        entries.forEach(entry -> all.add(rest.isEmpty() ? entry : at(entry, rest)));
        return all;
      }
      if (here.isJsonArray()) {
        JsonArray entries = here.getAsJsonArray();
        int index = Integer.parseInt(names[depth]);
        int from = index < 0 ? entries.size() + index : index;
        here = from >= 0 && from < entries.size() ? entries.get(from) : null;
      } else {
        here = here.isJsonObject() ? here.getAsJsonObject().get(names[depth]) : null;
      }
    }
    return here;
  }

  private static String shown(JsonElement value) {
    String text = String.valueOf(value);
    return text.length() <= SHOWN_MAX ? text : text.substring(0, SHOWN_MAX) + "…";
  }
}
