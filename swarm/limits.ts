/**
 * Every limit on what comes from outside, in one place: unit in the name, reason beside it. Relay limits that an
 * operator may change are flags (`relay/config.ts`) whose defaults stand here. Sources: `docs/limits.md`.
 */
const KIB = 1024
const MIB = 1024 * KIB

// --- records and directory
/** A signed record; well under one packet so that fan-out stays cheap. */
export const MAX_RECORD_BYTES = 2 * KIB
/** A record is believed for at most this long after it was issued. */
export const MAX_RECORD_TTL_MS = 90_000
/** A serving peer publishes this often, and on change. */
export const RECORD_REFRESH_MS = 25_000
/** A record from further in the future than this is refused: its clock was not corrected by a relay. */
export const MAX_CLOCK_SKEW_MS = 30_000
/** A promise to keep blocks runs at most this long: whoever asks and then vanishes holds others no longer. */
export const MAX_PROMISE_MS = 60_000
/** Running at once, of one peer: so many fit its record. */
export const MAX_PROMISES = 3
/** Spans on a peer's disk that its record names. */
export const MAX_CACHED_SPANS = 3
/** Round trips that a peer's record tells: to the nearest of those that its sessions may come from or go on to. */
export const MAX_ROUND_TRIPS = 8
/** Longer ones are of a peer that was busy or asleep, not of a way. */
export const MAX_ROUND_TRIP_MS = 10_000
/** Of a peer id, at its end: 70 bits of the key, so that eight of them take 150 bytes of a record and nobody can make one of another's. */
export const ROUND_TRIP_NAME_CHARS = 12
export const MAX_DIRECTORY_MESSAGE_BYTES = 256 * KIB
export const MAX_DIRECTORY_RECORDS = 5_000
export const MAX_RECORDS_PER_ANSWER = 200

// --- inference streams
/** One frame, header included: a chunk of hidden states (256 KiB) or the logits of one row (512 k × 4 B = 2 MiB) do fit. */
export const MAX_FRAME_BYTES = 4 * MIB
export const MAX_JSON_FRAME_BYTES = 16 * KIB
/** Rows of one step: a prefill chunk. */
export const MAX_STEP_ROWS = 512
/** Hidden states in flight to one neighbour: larger pushes delay the decode steps of other sessions. */
export const MAX_CHUNK_BYTES = 256 * KIB
export const DEFAULT_TOP_K = 256
export const MAX_TOP_K = 1024
/** Rows of one step whose logits come back: a token and the guesses that are tried with it. 132 KiB at MAX_TOP_K. */
export const MAX_LOGITS_ROWS = 16

/** Names of a session's first tokens in its open message, which stays within MAX_JSON_FRAME_BYTES. */
export const MAX_PREFIX_NAMES = 256
export const MAX_PREFIX_NAME_CHARS = 32

// --- donor
export const MAX_SESSIONS = 8
/** Two chats of one page; a third one closes the oldest. */
export const MAX_SESSIONS_PER_PEER = 2
export const MAX_QUEUED_STEPS = 32
/** A cache that nobody uses keeps others out; a later turn is prefilled again. Whoever waits for an answer pings. */
export const SESSION_IDLE_MS = 60_000
export const SESSION_LIFE_MS = 30 * 60_000
/** What a hop keeps of the session at a hop whose neighbour on the route was lost, for whoever puts another in its place. */
export const HELD_SESSION_MS = 20_000
/** Hidden states that a tab keeps of what it has sent on, all its sessions together: 8 of 1,000 tokens of a hidden size of 4,096. */
export const MAX_KEPT_OUTPUT_BYTES = 128 * MIB
/** A hop that was opened but whose previous hop never attached, or the reverse: one of them may be a slow dial away. */
export const ATTACH_TIMEOUT_MS = 25_000

// --- requesting side
export const HEARTBEAT_INTERVAL_MS = 1_000
export const HEARTBEAT_DEAD_MS = 3_000
/** A dial that makes no progress for this long is given up: one WebRTC dial in fourteen used to hang. */
export const DIAL_TIMEOUT_MS = 3_000
export const DIAL_TRIES = 3
/** One try that does make progress: a busy machine needs seconds for its dozen round trips, and to begin again helps nobody. */
export const DIAL_TRY_MS = 10_000
/** All tries together. */
export const DIAL_TOTAL_MS = 20_000
/** A first session waits so long for a direct connection before it goes through a relay. Most dials take well under a second. */
export const RELAYED_AFTER_MS = 4_000
/** A peer that could not be reached directly is tried again after this, beside the session. */
export const DIRECT_RETRY_MS = 30_000
/** What one peer sends and receives in sessions through relays; 8 KiB a token and hop at the 8B shape: some 16 tokens a second. */
export const RELAYED_BYTES_PER_HOUR = 512 * MIB
export const OPEN_TIMEOUT_MS = 5_000
export const BAN_BASE_MS = 15_000
export const BAN_MAX_MS = 10 * 60_000

// --- model files
export const MAX_SAFETENSORS_HEADER_BYTES = 25_000_000
export const MAX_SHARDS = 10_000
export const MAX_JSON_FILE_BYTES = 8 * MIB
export const MAX_TOKENIZER_BYTES = 64 * MIB
export const MAX_BLOCKS = 256
export const MAX_HIDDEN_SIZE = 16_384
export const MAX_INTERMEDIATE_SIZE = 131_072
export const MAX_VOCAB_SIZE = 512_000
export const MAX_CONTEXT = 1_048_576
/** Chat template or tokenizer run: longer is a hostile template or pattern. */
export const TEMPLATE_TIMEOUT_MS = 2_000
export const MAX_TEMPLATE_OUTPUT_CHARS = 1_000_000
/** A prompt as typed; longer is refused before it is tokenized. */
export const MAX_PROMPT_CHARS = 1_000_000
