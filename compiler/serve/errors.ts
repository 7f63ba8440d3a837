import { GsicError, messageOf } from "../support/errors.js";

/** An error as OpenAI's interface has it. */
interface ApiErrorBody {
  readonly error: {
    readonly message: string;
    readonly type: "invalid_request_error" | "rate_limit_error" | "server_error";
    /** The field of the request that is wrong. */
    readonly param: string | null;
    readonly code: string | null;
  };
}

/** A request that is not answered, and why. */
export class ApiError extends Error {
  readonly status: number;
  readonly code: string | null;
  readonly param: string | null;
  /** Seconds after which it is worth to ask again. */
  readonly retryAfter: number | undefined;

  constructor(
    status: number,
    message: string,
    details: { readonly code?: string; readonly param?: string; readonly retryAfter?: number } = {},
  ) {
    super(message);
    this.status = status;
    this.code = details.code ?? null;
    this.param = details.param ?? null;
    this.retryAfter = details.retryAfter;
  }

  body(): ApiErrorBody {
    const type =
      this.status === 429
        ? "rate_limit_error"
        : this.status >= 500
          ? "server_error"
          : "invalid_request_error";
    return { error: { message: this.message, type, param: this.param, code: this.code } };
  }
}

/** What a client sent, for a message: cut off where it is long. */
export function shown(text: string): string {
  return text.length <= 100 ? text : `${text.slice(0, 100)}… (${text.length} characters)`;
}

/** A field that is wrong. */
export function badField(param: string, message: string, code = "invalid_value"): ApiError {
  return new ApiError(400, message, { code, param });
}

/** What Fastify and Ajv put into an error. */
interface FrameworkError {
  readonly statusCode?: number;
  readonly code?: string;
  readonly validation?: readonly {
    readonly instancePath: string;
    readonly message?: string;
    readonly params: Readonly<Record<string, unknown>>;
  }[];
}

/** Any error as one that a client may see. What is not the client's fault says no more than that. */
export function apiErrorOf(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  if (error instanceof GsicError && error.category === "usage")
    return new ApiError(400, error.message, { code: error.code, param: error.where ?? "" });
  const { statusCode, code, validation } = error as FrameworkError;
  const wrong = validation?.[0];
  if (wrong !== undefined) {
    const missing = wrong.params.missingProperty;
    const path = wrong.instancePath.slice(1).replaceAll("/", ".");
    const param = typeof missing === "string" ? [path, missing].filter(Boolean).join(".") : path;
    return badField(param, `${param === "" ? "the body" : param} ${wrong.message ?? "is wrong"}`);
  }
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500)
    return new ApiError(statusCode, messageOf(error), code === undefined ? {} : { code });
  return new ApiError(500, "the server failed; its log says why", { code: "internal_error" });
}
