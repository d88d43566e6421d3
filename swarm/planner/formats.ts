/**
 * Weight formats in placement. A text keeps to one format, so blocks held in another are no holders to it: a peer is placed among
 * those of its own format. Only while some block has no holder in any format does everybody count: such a block is missing in every
 * format, whoever takes it brings its own format nearer, and sessions that mix formats have their route.
 */
import { WEIGHT_FORMATS, type WeightFormat } from '../model/config.ts'
import { unclaimedBlocks } from './coverage.ts'
import type { PlacementRule, SwarmView } from './types.ts'
import { withoutPeer } from './view.ts'

/** The peers among which one of this format has its place. Those whose format is not known count as its own. */
export function viewInFormat(view: SwarmView, weights: string): SwarmView {
  return unclaimedBlocks(view).length > 0 ? view : onlyFormat(view, weights)
}

/** A rule that sees the swarm so: each peer by its own format, and one that is not in the view yet by `own`. */
export function withinFormat(rule: PlacementRule, own: string): PlacementRule {
  const weightsOf = (view: SwarmView, peerId: string): string =>
    view.peers.find((peer) => peer.peerId === peerId)?.weights ?? own
  return {
    name: rule.name,
    chooseSpan: (view, joiner) =>
      rule.chooseSpan(viewInFormat(withoutPeer(view, joiner.peerId), weightsOf(view, joiner.peerId)), joiner),
    checkBalance: (view, peerId, options) =>
      rule.checkBalance(viewInFormat(view, weightsOf(view, peerId)), peerId, options),
  }
}

/**
 * The format that a peer without a wish of its own helps most with: the one that lacks fewest blocks, claims counted, the most exact
 * of those alike. Null where nobody is.
 */
export function formatServed(view: SwarmView): WeightFormat | null {
  const present = WEIGHT_FORMATS.filter((format) => view.peers.some((peer) => peer.weights === format))
  const lacking = (format: WeightFormat): number => unclaimedBlocks(onlyFormat(view, format)).length
  return present.toSorted((a, b) => lacking(a) - lacking(b))[0] ?? null
}

function onlyFormat(view: SwarmView, weights: string): SwarmView {
  return { ...view, peers: view.peers.filter((peer) => (peer.weights ?? weights) === weights) }
}
