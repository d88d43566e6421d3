/**
 * Whether `/config.json` is one that this page understands. The server is the one that sent this script, so this is against
 * mistakes and other versions, not against malice; but what passes here is relied on without another look.
 */
import { isStun, MAX_ICE_SERVERS, type AppConfig, type DonorDefaults } from '../../swarm/app-config.ts'

const DONOR_TYPES: Record<Exclude<keyof DonorDefaults, 'initialPeers'>, 'string' | 'number' | 'boolean'> = {
  model: 'string',
  revision: 'string',
  numBlocks: 'number',
  totalBlocks: 'number',
  splits: 'string',
  stage: 'number',
  useLoadBalancing: 'boolean',
  rule: 'string',
  balanceQuality: 'number',
  meanBalanceCheckPeriod: 'number',
  weights: 'string',
  kv: 'string',
  backend: 'string',
  autotune: 'string',
  threads: 'number',
  memoryGb: 'number',
  simulateSpeed: 'number',
}

export function isAppConfig(value: unknown, base: URL): value is AppConfig {
  if (!isObject(value)) return false
  const { version, hubUrl, relays, models, iceServers, donor, developer } = value
  return (
    typeof version === 'string' &&
    isAddress(hubUrl, base) &&
    isTexts(relays) &&
    Array.isArray(models) &&
    models.every((model) => isOffer(model, base)) &&
    Array.isArray(iceServers) &&
    iceServers.length <= MAX_ICE_SERVERS &&
    iceServers.every((server) => isObject(server) && isStun(server['urls'])) &&
    isDonor(donor) &&
    (developer === undefined || isObject(developer))
  )
}

function isOffer(value: unknown, base: URL): boolean {
  if (!isObject(value)) return false
  const { repo, revision, hubUrl, blocks, sizeBytes, description } = value
  return (
    [repo, revision].every((text) => typeof text === 'string') &&
    [blocks, sizeBytes].every((number) => typeof number === 'number' && number >= 0) &&
    (description === undefined || typeof description === 'string') &&
    isAddress(hubUrl, base)
  )
}

function isDonor(value: unknown): boolean {
  if (!isObject(value)) return false
  const isTyped = Object.entries(DONOR_TYPES).every(
    ([name, type]) => value[name] === undefined || typeof value[name] === type,
  )
  return isTyped && (value['initialPeers'] === undefined || isTexts(value['initialPeers']))
}

/** Absolute, or a path of the page's own server. */
function isAddress(value: unknown, base: URL): boolean {
  return typeof value === 'string' && URL.canParse(value, base)
}

function isTexts(value: unknown): boolean {
  return Array.isArray(value) && value.every((text) => typeof text === 'string')
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
