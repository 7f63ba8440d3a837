// The C interface of gsic's runtime: load a bundle, feed it tokens, read logits or generated text; or run its linears
// one by one inside another runtime.
//
// Handles are opaque. Every function that can fail returns a gsic_status and leaves a message for the calling
// thread in gsic_last_error(). No function exits the process, throws, or writes to stdout or stderr.
// A model may be used by several sessions and batches; a session by one thread at a time (a second concurrent call
// returns GSIC_BUSY). Sizes are in elements unless a name says bytes.
#ifndef GSIC_H
#define GSIC_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define GSIC_ABI_VERSION 2

#if defined(_WIN32)
#define GSIC_API __declspec(dllexport)
#else
#define GSIC_API __attribute__((visibility("default")))
#endif

typedef enum gsic_status {
  GSIC_OK = 0,
  GSIC_INVALID_ARGUMENT = 1,  ///< a null pointer, a token id out of range, an unknown mode
  GSIC_BAD_BUNDLE = 2,        ///< the file is damaged, of another version, or not a bundle
  GSIC_NO_DEVICE = 3,         ///< no code object fits this machine: no driver, no device, or another one
  GSIC_OUT_OF_MEMORY = 4,     ///< of the host or of the device
  GSIC_CONTEXT_FULL = 5,      ///< the tokens do not fit into what is left of the context
  GSIC_BUSY = 6,              ///< another call on this session is still running
  GSIC_CANCELLED = 7,         ///< the callback asked to stop
  GSIC_NO_TOKENIZER = 8,      ///< the bundle was built from a model without a tokenizer
  GSIC_IO = 9,                ///< the file cannot be read
  GSIC_INTERNAL = 10,
  GSIC_DEVICE_LOST = 11  ///< a GPU or its driver failed; whatever needs that model's device fails from then on
} gsic_status;

typedef struct gsic_model gsic_model;
typedef struct gsic_session gsic_session;
typedef struct gsic_linears gsic_linears;

/// Zero-initialise and set what you need; zero means the default.
typedef struct gsic_open_options {
  uint32_t threads;       ///< at most; 0: the cores this process may use; of no interest to a GPU
  const char *target;     ///< a target's name in the bundle; null: the best that this machine can run
  int skip_verification;  ///< non-zero: do not check the hash of the weights section (others are checked)
  uint32_t device;        ///< a GPU's number among those that its driver shows; 0: the one that the environment
                          ///< variable GSIC_DEVICE names, or the first; of no interest to a CPU
} gsic_open_options;

typedef struct gsic_model_info {
  const char *name;  ///< valid as long as the model
  const char *family;
  const char *target;
  const char *modes;  ///< comma-separated, default first
  uint32_t vocabulary;
  uint32_t context;
  uint32_t threads;  ///< a CPU: workers that share a launch; a GPU: its compute units
  int has_tokenizer;
  int32_t end_of_text;  ///< token id, or -1
  uint32_t hidden;      ///< width of the states that gsic_hidden gives; 0 where it gives none (GPUs)
} gsic_model_info;

/// A linear of the model, y = W x + b, in the form that the mode gives it.
typedef struct gsic_linear_info {
  const char *name;    ///< as in graph.ts and report.json; the texts are valid as long as the gsic_linears
  const char *tensor;  ///< the source model's tensor that holds W
  uint32_t first;      ///< its first output row in that tensor: W may be a part, as of GPT-2's c_attn
  uint32_t out, d;     ///< W is [out, d]
  int has_bias;        ///< whether b is added; else it is zero
  uint32_t call;       ///< linears of one call read one x, and are computed together
  uint32_t column;     ///< where its `out` columns begin in the call's y
  uint32_t width;      ///< columns of the call's y
} gsic_linear_info;

/// Is added to the logit of a token.
typedef struct gsic_bias {
  int32_t id;
  float value;
} gsic_bias;

/// How tokens are chosen. Zero-initialise and set what you need; zero means none, or no limit. First the model's logits
/// are changed: by repetition_penalty, presence_penalty, frequency_penalty and biases, in this order. Then come
/// temperature, top_k, top_p and min_p. What it points to is copied.
typedef struct gsic_sampling {
  float temperature;         ///< 0: greedy
  uint32_t top_k;            ///< only the so many likeliest
  float top_p;               ///< only the likeliest that have this probability together; 1: no limit
  uint64_t seed;             ///< the same seed gives the same tokens
  float min_p;               ///< only those that have at least so many times the probability of the likeliest
  float repetition_penalty;  ///< divides positive logits of tokens of the text, and multiplies negative ones; 1: none
  float presence_penalty;    ///< is taken from the logits of generated tokens
  float frequency_penalty;   ///< the same, for each time that the token was generated
  const gsic_bias *bias;     ///< [bias_count]
  size_t bias_count;
} gsic_sampling;

/// Called once per generated token with its text (complete UTF-8 sequences; may be empty). Non-zero stops.
typedef int (*gsic_token_callback)(int32_t id, const char *text, size_t text_bytes, void *user);

/// The library's GSIC_ABI_VERSION.
GSIC_API uint32_t gsic_abi_version(void);
/// The calling thread's last error message; never null.
GSIC_API const char *gsic_last_error(void);

/// Maps the bundle at `path`, checks every section, and loads the code objects that fit this machine. GPUs are numbered
/// as their driver shows them (HIP_VISIBLE_DEVICES, CUDA_VISIBLE_DEVICES). The driver is the one that this process has
/// loaded already, as PyTorch's; the environment variable GSIC_DRIVER names another, or the one that the system does
/// not find. Weights are copied to a GPU, and so are results from it. Every function leaves the thread's current device
/// as it was, and no error of its own in the driver.
GSIC_API gsic_status gsic_open(const char *path, const gsic_open_options *options, gsic_model **model);
/// Frees the model; its sessions must have been closed. Null is allowed.
GSIC_API void gsic_close(gsic_model *model);
GSIC_API gsic_status gsic_describe(const gsic_model *model, gsic_model_info *info);

/// Opens a session with an empty KV cache. On a GPU the cache grows with the text: from a part of a context to twice as
/// much at a time, beside what it had before, so that any call that appends tokens may end with GSIC_OUT_OF_MEMORY; the
/// session is as it was then. `mode`: "exact", "bounded", "lossless"; null: the bundle's default. "lossless" gives what
/// "exact" does, bit for bit: generation lets the plan propose tokens, and the exact weights verify several in one
/// pass.
GSIC_API gsic_status gsic_session_open(gsic_model *model, const char *mode, gsic_session **session);
GSIC_API void gsic_session_close(gsic_session *session);
/// Keeps the first `length` tokens of the session (0: empties it). Later tokens are forgotten.
GSIC_API gsic_status gsic_session_rewind(gsic_session *session, size_t length);
/// Tokens that the session holds. Inside a callback of gsic_generate in mode "lossless" it may hold more than were
/// shown.
GSIC_API size_t gsic_session_length(const gsic_session *session);

/// Appends `count` tokens. `logits`, if not null, receives [wanted, vocabulary] f32 for the last `wanted` tokens.
GSIC_API gsic_status gsic_evaluate(gsic_session *session, const int32_t *ids, size_t count, float *logits,
                                   size_t wanted);
/// Appends `count` tokens, and gives their last hidden states: what the output layer reads, behind the last norm.
/// `states` receives [count, hidden] f32. The session's mode must be "exact" or "lossless", and the target a CPU.
GSIC_API gsic_status gsic_hidden(gsic_session *session, const int32_t *ids, size_t count, float *states);
/// Appends the prompt and generates up to `limit` tokens, or until end of text, the context's end, or a non-zero
/// callback (GSIC_CANCELLED). The prompt must not be empty. `produced` receives the number of tokens; `ids`, if not
/// null, holds room for `limit` of them. Afterwards the session holds the prompt and all of them; the token that ends
/// the text is neither produced nor appended.
GSIC_API gsic_status gsic_generate(gsic_session *session, const int32_t *prompt, size_t prompt_count, size_t limit,
                                   const gsic_sampling *sampling, gsic_token_callback callback, void *user,
                                   int32_t *ids, size_t *produced);

/// Tokens of `text`, behind what the tokenizer puts in front of every text (nothing, or begin-of-text). Special tokens
/// such as <|im_start|> are recognised if `parse_special` is non-zero.
/// `*count` holds the room in `ids` on entry, and the number of tokens on return. Where the room is too small,
/// nothing is written to `ids`, `*count` receives the room needed, and GSIC_INVALID_ARGUMENT is returned.
GSIC_API gsic_status gsic_encode(const gsic_model *model, const char *text, size_t text_bytes, int parse_special,
                                 int32_t *ids, size_t *count);
/// How a text is encoded. Zero-initialise and set what you need.
typedef struct gsic_encoding {
  int parse_special;      ///< non-zero: special tokens are recognised
  const size_t *literal;  ///< offsets of bytes of the text, ascending: what covers one of them is no special token
  size_t literal_count;
  int (*stop)(void *user);  ///< if not null, asked again and again from the calling thread; non-zero: GSIC_CANCELLED
  void *user;
} gsic_encoding;
/// As gsic_encode; `encoding` null: all zero. Where `literal` is given, the text must be UTF-8.
GSIC_API gsic_status gsic_encode_as(const gsic_model *model, const char *text, size_t text_bytes,
                                    const gsic_encoding *encoding, int32_t *ids, size_t *count);
/// The texts that gsic_encode recognises as special tokens: how many, and each, valid as long as the model.
GSIC_API size_t gsic_special_count(const gsic_model *model);
GSIC_API gsic_status gsic_special_text(const gsic_model *model, size_t index, const char **text, size_t *length);
/// The bytes of a token; valid as long as the model. Not always complete UTF-8.
GSIC_API gsic_status gsic_token_bytes(const gsic_model *model, int32_t id, const char **bytes, size_t *length);

/// How often gates were closed and open since the session was opened, summed over all gates: each counts every token
/// once. In mode "lossless" those of the plan that drafts.
GSIC_API gsic_status gsic_gate_counts(const gsic_session *session, uint64_t *closed, uint64_t *open);

/// What generation in a session of mode "lossless" did since it was opened; zeros in other modes.
typedef struct gsic_draft_counts {
  uint64_t passes;     ///< of the exact weights that verified proposals
  uint64_t proposed;   ///< tokens
  uint64_t accepted;   ///< of the proposed ones
  uint64_t looked_up;  ///< of the proposed ones: copied from an earlier place of the text
} gsic_draft_counts;
GSIC_API gsic_status gsic_drafts(const gsic_session *session, gsic_draft_counts *counts);

/// Many requests at once. Passes take tokens of several texts together, and so read the weights once for all of them. A
/// request's tokens are, bit for bit, those that gsic_generate writes for it in a session of its own: alone or in any
/// company, on any number of threads, in mode "lossless" with drafts or without.
///
/// Texts that begin with the same tokens share what the KV cache has of them, also with texts that have ended, as long
/// as nobody else needs the room. Where there is too little room, later requests give way, and are computed again.
typedef struct gsic_batch gsic_batch;

/// Zero-initialise and set what you need; zero means the default.
typedef struct gsic_batch_options {
  const char *mode;      ///< as in gsic_session_open
  uint64_t cache_bytes;  ///< of the KV caches of all texts together, at least one context; 0: sixteen contexts, but at
                         ///< most a quarter of the machine's memory. A CPU takes it as texts grow, a GPU at once
} gsic_batch_options;

/// Why a text ended.
typedef enum gsic_end {
  GSIC_END_NONE = 0,       ///< it goes on
  GSIC_END_LIMIT = 1,      ///< as many tokens as were asked for
  GSIC_END_OF_TEXT = 2,    ///< the model's end of text, or one of stop_ids; it is not shown
  GSIC_END_CONTEXT = 3,    ///< the context is full
  GSIC_END_CANCELLED = 4,  ///< by gsic_batch_cancel, or by the callback
  GSIC_END_FAILED = 5      ///< `status` and `text` say why
} gsic_end;

/// A token that might stand in a place, and the natural logarithm of its probability there.
typedef struct gsic_alternative {
  int32_t id;
  float log_probability;
} gsic_alternative;

/// A token of a request, or its end: the last event of a request, and the only one whose `end` is not GSIC_END_NONE.
/// Log-probabilities are the model's own: before penalties, biases, temperature, top_k, top_p and min_p.
typedef struct gsic_event {
  uint64_t ticket;
  gsic_end end;
  gsic_status status;     ///< GSIC_OK, but for GSIC_END_FAILED
  int32_t id;             ///< of the token; at GSIC_END_OF_TEXT of the one that ends the text, at other ends -1
  int of_prompt;          ///< non-zero: a token of the prompt (score_prompt); these come first, and in order
  float log_probability;  ///< of the token; 0 where it is not asked for; NaN for the first token of a prompt
  const gsic_alternative *alternatives;  ///< [alternative_count]: the likeliest tokens in its place, likeliest first
  size_t alternative_count;
  const char *text;  ///< what can be shown after the token, complete UTF-8 sequences; may be empty
  size_t text_bytes;
  uint64_t proposed_tokens, accepted_tokens;  ///< at the end: drafts of this text, and what gsic_batch_allow foresaw
  int asks;  ///< non-zero: a constrained text goes on when gsic_batch_allow has said what may come behind this token
} gsic_event;

/// Called by gsic_batch_run. Non-zero cancels the request. May call gsic_batch_submit, _cancel and _taken.
typedef int (*gsic_event_callback)(const gsic_event *event, void *user);

/// Zero-initialise and set what you need. What it points to is copied.
typedef struct gsic_request {
  const int32_t *prompt;  ///< not empty
  size_t prompt_count;
  size_t limit;  ///< most tokens
  gsic_sampling sampling;
  const int32_t *stop_ids;  ///< ids that end the text, besides the model's end of text
  size_t stop_count;
  size_t window;  ///< tokens that may be shown before the reader has taken the first (gsic_batch_taken); then the
                  ///< text pauses, and holds nobody up. 0: any number
  int log_probabilities;  ///< non-zero: events have them
  uint32_t alternatives;  ///< with log_probabilities: of so many likeliest tokens, too
  int score_prompt;       ///< with log_probabilities: the prompt's tokens have events, too. `limit` may be 0 then. Such
                          ///< a prompt shares nothing with earlier texts, and its events count in no window
  int constrained;        ///< non-zero: each token waits until gsic_batch_allow has said which may come
  gsic_event_callback callback;  ///< must not be null
  void *user;
} gsic_request;

/// What may come next in a constrained text. A mask has a bit for each token: of token i, bit i % 32 of word i / 32.
typedef struct gsic_allowed {
  size_t generated;       ///< behind so many generated tokens
  const uint32_t *masks;  ///< [ahead_count + 1, (vocabulary + 31) / 32]: what may come there; then behind ahead[0]; ...
  const int32_t *ahead;   ///< [ahead_count]: tokens that the text is bound, or likely, to go on with: proposed together
  size_t ahead_count;
} gsic_allowed;

/// Zero-initialised: nothing happened yet. Sums are since the batch was opened.
typedef struct gsic_batch_counts {
  uint64_t waiting;                           ///< requests that no pass has seen yet
  uint64_t reading;                           ///< whose prompt is being computed
  uint64_t writing;                           ///< that get a token with every pass that they are in
  uint64_t paused;                            ///< whose readers are behind, or that wait for gsic_batch_allow
  uint64_t passes, columns;                   ///< sums: passes, and tokens in them
  uint64_t prompt_tokens, generated_tokens;   ///< sums
  uint64_t shared_tokens;                     ///< sum: tokens that were found in the cache
  uint64_t proposed_tokens, accepted_tokens;  ///< sums: drafts
  uint64_t preempted;                         ///< sum: texts that gave way, and were computed again
  uint64_t blocks, blocks_held, blocks_kept;  ///< of the cache: all, those of texts, those of texts that ended
  uint64_t blocks_evicted;                    ///< sum: kept blocks that gave way
} gsic_batch_counts;

GSIC_API gsic_status gsic_batch_open(gsic_model *model, const gsic_batch_options *options, gsic_batch **batch);
/// Close it before the model, and while no thread runs it. Requests that have not ended get no more events. Null is
/// allowed.
GSIC_API void gsic_batch_close(gsic_batch *batch);
/// Adds a request, on any thread. `ticket` receives a number that no other request of the batch has; the first event
/// may come before this function returns.
GSIC_API gsic_status gsic_batch_submit(gsic_batch *batch, const gsic_request *request, uint64_t *ticket);
/// Ends a request soon, on any thread: its last event is GSIC_END_CANCELLED. Nothing happens if it has ended.
GSIC_API gsic_status gsic_batch_cancel(gsic_batch *batch, uint64_t ticket);
/// Says, on any thread, what may come next in a constrained text: behind the prompt, and then behind each token whose
/// event asks. Until then the text waits, and holds nobody up. An answer that is not about the text's end has no
/// effect. A mask that allows nothing is a GSIC_INVALID_ARGUMENT.
GSIC_API gsic_status gsic_batch_allow(gsic_batch *batch, uint64_t ticket, const gsic_allowed *allowed);
/// Tells, on any thread, that a request's reader took so many tokens.
GSIC_API gsic_status gsic_batch_taken(gsic_batch *batch, uint64_t ticket, size_t tokens);
/// Runs one pass, and calls the callbacks of what came of it. Where there is nothing to do, waits for it, but not
/// longer than `wait_ms` milliseconds. One thread at a time: a second one gets GSIC_BUSY. After another failure, all
/// requests have ended.
GSIC_API gsic_status gsic_batch_run(gsic_batch *batch, uint32_t wait_ms);
/// Writes what the batch's KV cache holds of its texts, ended ones too, to a file that takes the place of an earlier
/// one when it is whole: at most cache_bytes and the tokens, which are of what people asked for, so that only its owner
/// may read it. `tokens`, if not null, receives how many. While a thread runs the batch: GSIC_BUSY. GSIC_IO: not
/// written.
GSIC_API gsic_status gsic_batch_save_cache(gsic_batch *batch, const char *path, uint64_t *tokens);
/// Reads such a file into an empty cache, before the first request: as much as there is room for, what was used last
/// first. Texts that begin with what it holds are then computed from there on, and are, bit for bit, what they are
/// without it. GSIC_BAD_BUNDLE: it is cut or damaged, or of another build, target, or mode ("lossless" has the cache of
/// "exact"); GSIC_IO: it cannot be read. The cache is empty then.
GSIC_API gsic_status gsic_batch_load_cache(gsic_batch *batch, const char *path, uint64_t *tokens);
/// On any thread.
GSIC_API gsic_status gsic_batch_count(const gsic_batch *batch, gsic_batch_counts *counts);

/// Opens the model's linears for a host that runs the rest of the model itself: small buffers of their own, and the
/// model's weights. `mode` as in gsic_session_open; "lossless" has the linears of "exact". Several may be open; one is
/// used by one thread at a time.
GSIC_API gsic_status gsic_linears_open(gsic_model *model, const char *mode, gsic_linears **linears);
/// Close them before the model. Null is allowed. On a GPU, what was queued must be done.
GSIC_API void gsic_linears_close(gsic_linears *linears);
GSIC_API size_t gsic_linears_count(const gsic_linears *linears);
/// `index` from 0 to before the count, in the order in which the model runs them; calls are numbered in that order too.
GSIC_API gsic_status gsic_linears_describe(const gsic_linears *linears, size_t index, gsic_linear_info *info);
/// Computes a call's linears: x [columns, d] to y [columns, width] f32, both the host's. Any number of columns; how
/// many run together does not change a result. x and y must not overlap.
GSIC_API gsic_status gsic_linears_run(gsic_linears *linears, uint32_t call, const float *x, size_t columns, float *y);
/// The same on a GPU: x and y are device pointers, and `stream` is a hipStream_t or CUstream of the device that the
/// model is on. Returns when all is queued, and may be captured into a graph. Calls of one gsic_linears share buffers:
/// queue them on one stream, or let each stream wait for the one before.
GSIC_API gsic_status gsic_linears_enqueue(gsic_linears *linears, uint32_t call, const float *x, size_t columns,
                                          float *y, void *stream);

#ifdef __cplusplus
}
#endif

#endif
