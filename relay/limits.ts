/**
 * The relay's own limits with their defaults. They are flags (`options.ts`); the library's defaults (15 reservations,
 * 5 joins a second, 128 KiB a circuit) are too small for a class of students behind one address. Limits for each address
 * never count loopback, so that one machine can run a swarm.
 */
import { MAX_DIRECTORY_RECORDS, MAX_RECORD_BYTES, MAX_RECORD_TTL_MS } from '../swarm/limits.ts'

export interface RelayLimits {
  maxConnections: number
  maxConnectionsPerAddress: number
  /** Connections whose handshake is under way. */
  maxPendingConnections: number
  maxPendingConnectionsPerAddress: number
  /** New connections a second from one address. */
  maxJoinsPerSecond: number
  maxReservations: number
  maxReservationsPerAddress: number
  reservationTtlMs: number
  circuitDurationMs: number
  /** Both directions of one circuit together. */
  circuitBytes: number
  maxCircuitsPerPeer: number
  maxCircuits: number
  /** Bytes sent to peers a day; beyond it new circuits carry signalling only. */
  egressBytesPerDay: number
  /** What a circuit may carry when the day's budget is spent: enough for WebRTC signalling. */
  signallingDurationMs: number
  signallingBytes: number
  maxRecords: number
  maxRecordsPerAddress: number
  maxRecordBytes: number
  /** A record is listed for at most this long, whatever it says. */
  recordTtlMs: number
  http: HttpLimits
}

/** Of the HTTP half, which a headless tab's own page server has too. */
export interface HttpLimits {
  maxBodyBytes: number
  /** The head of a request must be there in this time. */
  headerTimeoutMs: number
  /** A kept connection that asks nothing more. */
  idleTimeoutMs: number
}

const MIB = 1024 * 1024

export const DEFAULT_HTTP_LIMITS: Readonly<HttpLimits> = {
  // Nothing but a list of paths is ever sent here.
  maxBodyBytes: 64 * 1024,
  headerTimeoutMs: 10_000,
  idleTimeoutMs: 60_000,
}

export const DEFAULT_RELAY_LIMITS: Readonly<RelayLimits> = {
  maxConnections: 1_000,
  // A quarter: one address that sits on its connections leaves room for the others.
  maxConnectionsPerAddress: 250,
  maxPendingConnections: 200,
  maxPendingConnectionsPerAddress: 50,
  // A school or a carrier shares one address.
  maxJoinsPerSecond: 50,
  maxReservations: 500,
  maxReservationsPerAddress: 64,
  // A reloaded tab is a new peer: 2 h would fill the relay with dead reservations.
  reservationTtlMs: 10 * 60_000,
  // Circuits are death sensors: they must not end by themselves.
  circuitDurationMs: 24 * 60 * 60_000,
  circuitBytes: 64 * MIB,
  maxCircuitsPerPeer: 64,
  maxCircuits: 10_000,
  egressBytesPerDay: 50e9,
  signallingDurationMs: 2 * 60_000,
  signallingBytes: 128 * 1024,
  maxRecords: MAX_DIRECTORY_RECORDS,
  maxRecordsPerAddress: 32,
  maxRecordBytes: MAX_RECORD_BYTES,
  recordTtlMs: MAX_RECORD_TTL_MS,
  http: DEFAULT_HTTP_LIMITS,
}
