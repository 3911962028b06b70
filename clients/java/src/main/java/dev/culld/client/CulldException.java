package dev.culld.client;

import com.google.protobuf.Any;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.Message;
import com.google.rpc.BadRequest;
import com.google.rpc.ErrorInfo;
import com.google.rpc.RetryInfo;
import dev.culld.v1.Operation;
import io.grpc.Metadata;
import io.grpc.Status;
import io.grpc.StatusException;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.StatusProto;
import java.time.Duration;
import java.util.List;
import java.util.Optional;

/**
 * A call failed. Each code that a caller may want to tell apart has a subclass; the code, the reason and the other
 * details of the answer are here for all of them.
 */
public class CulldException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  /** The code. */
  private final Status.Code code;

  /** What the daemon says beside the code and the message. */
  private final Details details;

  /** The details of a status, which can be serialised. */
  record Details(String reason, List<String> fields, Duration retryDelay) implements java.io.Serializable {
    static final Details NONE = new Details("", List.of(), null);
  }

  /**
   * Made by this package only.
   *
   * @param code the code
   * @param message in words
   * @param details what else is known
   * @param cause what led to it; may be null
   */
  CulldException(Status.Code code, String message, Details details, Throwable cause) {
    super(message, cause);
    this.code = code;
    this.details = details;
  }

  /**
   * The code of the answer.
   *
   * @return the code
   */
  public final Status.Code code() {
    return code;
  }

  /**
   * Why, as a constant for programs, such as {@code "ITEM_STALE"}.
   *
   * @return the reason; empty where the answer names none
   */
  public final String reason() {
    return details.reason();
  }

  /**
   * The fields of the request that are unusable, such as {@code "parameters.dbscan.eps"}.
   *
   * @return the fields; empty where the answer names none
   */
  public final List<String> fields() {
    return details.fields();
  }

  /**
   * How long the daemon asks to wait before another try.
   *
   * @return the wait; empty where the answer names none
   */
  public final Optional<Duration> retryDelay() {
    return Optional.ofNullable(details.retryDelay());
  }

  /**
   * Whether the same call may well succeed a little later: {@code UNAVAILABLE}, or {@code RESOURCE_EXHAUSTED} with the
   * delay after which to try again.
   *
   * @return whether it may
   */
  public final boolean isRetryable() {
    return code == Status.Code.UNAVAILABLE
        || (code == Status.Code.RESOURCE_EXHAUSTED && details.retryDelay() != null);
  }

  /** What a failed call says, as the exception for its code. Exceptions of this package stay what they are. */
  static CulldException of(Throwable error) {
    if (error instanceof CulldException already) {
      return already;
    }
    if (error instanceof StatusRuntimeException failed) {
      return of(failed.getStatus(), failed.getTrailers(), failed);
    }
    if (error instanceof StatusException failed) {
      return of(failed.getStatus(), failed.getTrailers(), failed);
    }
    return of(Status.fromThrowable(error), null, error);
  }

  static CulldException of(Status status, Metadata trailers, Throwable cause) {
    String description = status.getDescription();
    String message = description == null || description.isEmpty() ? "the call failed" : description;
    return of(status.getCode(), message, details(status, trailers), cause == null ? status.getCause() : cause);
  }

  /** How an operation failed. */
  static CulldException of(Operation operation) {
    var error = operation.getError();
    var details = new Details(error.getReason(), List.of(), null);
    String message = operation.getName() + " (" + operation.getMethod() + "): " + error.getMessage();
    return of(Status.fromCodeValue(error.getCode()).getCode(), message, details, null);
  }

  static CulldException of(Status.Code code, String message, Details details, Throwable cause) {
    String text = code + (details.reason().isEmpty() ? "" : " (" + details.reason() + ")") + ": " + message;
    return switch (code) {
      case NOT_FOUND -> new NotFoundException(text, details, cause);
      case ALREADY_EXISTS -> new AlreadyExistsException(text, details, cause);
      case INVALID_ARGUMENT -> new InvalidArgumentException(text, details, cause);
      case FAILED_PRECONDITION -> new FailedPreconditionException(text, details, cause);
      case ABORTED -> new AbortedException(text, details, cause);
      case OUT_OF_RANGE -> new OutOfRangeException(text, details, cause);
      case RESOURCE_EXHAUSTED -> new ResourceExhaustedException(text, details, cause);
      case UNAVAILABLE -> new UnavailableException(text, details, cause);
      case DEADLINE_EXCEEDED -> new DeadlineExceededException(text, details, cause);
      case CANCELLED -> new CancelledException(text, details, cause);
      case UNAUTHENTICATED -> new UnauthenticatedException(text, details, cause);
      case PERMISSION_DENIED -> new PermissionDeniedException(text, details, cause);
      default -> new CulldException(code, text, details, cause);
    };
  }

  private static Details details(Status status, Metadata trailers) {
    var details = trailers == null ? null : StatusProto.fromStatusAndTrailers(status, trailers);
    if (details == null) {
      return Details.NONE;
    }
    var info = unpack(details.getDetailsList(), ErrorInfo.class);
    var fields = unpack(details.getDetailsList(), BadRequest.class);
    var retry = unpack(details.getDetailsList(), RetryInfo.class);
    return new Details(
        info.map(ErrorInfo::getReason).orElse(""),
        fields.map(CulldException::violated).orElse(List.of()),
        retry.map(CulldException::delay).orElse(null));
  }

  private static List<String> violated(BadRequest request) {
    return request.getFieldViolationsList().stream().map(BadRequest.FieldViolation::getField).toList();
  }

  private static Duration delay(RetryInfo retry) {
    return Duration.ofSeconds(retry.getRetryDelay().getSeconds(), retry.getRetryDelay().getNanos());
  }

  private static <T extends Message> Optional<T> unpack(List<Any> details, Class<T> type) {
    for (Any detail : details) {
      try {
        if (detail.is(type)) {
          return Optional.of(detail.unpack(type));
        }
      } catch (InvalidProtocolBufferException damaged) {
        // A detail that can't be read is one that is not there: the code and the message tell enough.
        continue;
      }
    }
    return Optional.empty();
  }
}
