/** A swarm as the simulator gets it: what there is to serve, who may serve it, and how far they are from each other. */
import type { ModelPeer } from '../planner/model.ts'

export interface ClusterPeer extends ModelPeer {
  /** Bandwidth for weights. */
  downloadBytesPerSecond: number
}

export interface Cluster {
  name: string
  /** One weight a unit, blocks first; a head is a unit of its own. */
  unitWeights: readonly number[]
  /** At most one of each id. */
  peers: readonly ClusterPeer[]
  /** Round trip between two peers, or between a requesting peer (null) and one, ms. */
  rttMs: (from: string | null, to: string) => number
  /** Of a unit of weight 1. */
  bytesPerUnit: number
}

/** Of a file that says nothing: a home connection, as the router takes an unmeasured one to be. */
export const DEFAULT_RTT_MS = 50
/** 60 MB: a block of a model of one to three billion parameters in four bits. */
export const DEFAULT_BYTES_PER_UNIT = 60e6
/** 100 Mbit/s. */
export const DEFAULT_DOWNLOAD_BYTES_PER_SECOND = 12.5e6
/** The chance that a peer leaves before a replacement could be loaded: one in ten. */
export const DEFAULT_LEAVE_CHANCE = 0.1

export function unitsOf(cluster: { unitWeights: readonly number[] }): number {
  return cluster.unitWeights.length
}
