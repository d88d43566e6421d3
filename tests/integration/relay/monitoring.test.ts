/**
 * `deploy/grafana-dashboard.json` and `deploy/alerts.yml` against a relay that runs: every figure and every label that they
 * name is there, with what it should count.
 */
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { multiaddr } from '@multiformats/multiaddr'
import { expect, it, vi } from 'vitest'
import { clientForTest, DirectoryClient, dial, recordOf, relayForTest, reserved } from './support.ts'

const ROOT = join(import.meta.dirname, '../../..')
const ALERTS = join(ROOT, 'deploy/alerts.yml')
const DASHBOARD = join(ROOT, 'deploy/grafana-dashboard.json')
const CARRIED_BYTES = 1_500_000

interface Sample {
  name: string
  labels: Record<string, string>
  value: number
}

it('dashboard and alerts name only what a relay tells, and it counts what circuits carry', async () => {
  const relay = await relayForTest({ modelsDir: [join(ROOT, 'tests/fixtures/models')], maxCircuitsPerPeer: 1 })
  const target = await clientForTest({ reserve: true })
  await reserved(target, relay)
  const directory = await DirectoryClient.open(target, relay)
  await directory.publish(await recordOf(target))
  await directory.channel.send({ type: 'publish', record: 'nonsense' })
  await directory.until((message) => message['type'] === 'refused')
  let received = 0
  await target.libp2p.handle(
    '/sink/1',
    (stream) => stream.addEventListener('message', (event) => (received += event.data.byteLength)),
    { runOnLimitedConnection: true },
  )
  const source = await clientForTest()
  await dial(source, relay)
  const circuit = await source.libp2p.dial(multiaddr(`${relay.addresses[0] ?? ''}/p2p-circuit/p2p/${target.peerId}`))
  const stream = await circuit.newStream('/sink/1', { runOnLimitedConnection: true })
  for (let sent = 0; sent < CARRIED_BYTES; sent += 50_000) {
    if (!stream.send(new Uint8Array(50_000))) await stream.onDrain()
  }
  await vi.waitFor(() => expect(received).toBeGreaterThanOrEqual(CARRIED_BYTES), { timeout: 20_000 })

  const text = await (await fetch(`${relay.pageUrl}metrics`)).text()
  const samples = samplesOf(text)
  const value = (name: string, labels: Record<string, string> = {}): number | undefined =>
    samples.find((sample) => sample.name === `tabswarm_relay_${name}` && includes(sample.labels, labels))?.value
  expect(value('relayed_bytes_total')).toBeGreaterThan(CARRIED_BYTES)
  expect(value('relayed_bytes_total')).toBeLessThan(2 * CARRIED_BYTES)
  expect(value('circuits', { state: 'carrying' })).toBe(1)
  expect(value('reservations', { state: 'held' })).toBe(1)
  expect(value('peers', { role: 'donor' })).toBe(1)
  expect(text).not.toMatch(/127\.0\.0\.1|12D3/u)

  const expressions = [...dashboardExpressions(), ...alertExpressions()]
  expect(expressions.length).toBeGreaterThan(25)
  for (const expression of expressions) {
    const uses = usesOf(expression)
    expect(uses.length, expression).toBeGreaterThan(0)
    for (const { name, labels } of uses) {
      const found = samples.filter((sample) => sample.name === name)
      expect(found.length, `${name} in: ${expression}`).toBeGreaterThan(0)
      expect(
        found.some((sample) => includes(sample.labels, labels)),
        `${name}${JSON.stringify(labels)} in: ${expression}`,
      ).toBe(true)
    }
  }
})

it('Prometheus reads the alert rules, where its own tool is there to ask', ({ skip }) => {
  if (spawnSync('promtool', ['--version']).error !== undefined) skip('promtool is not installed')
  const { status, stdout, stderr } = spawnSync('promtool', ['check', 'rules', ALERTS], { encoding: 'utf8' })
  expect(status, `${stdout}${stderr}`).toBe(0)
})

/** Labels that Prometheus, not the relay, puts on each sample. */
const OUTSIDE_LABELS = new Set(['job', 'instance', 'le'])

/** Names of ours in an expression, each with the labels it selects by an exact value. */
function usesOf(expression: string): { name: string; labels: Record<string, string> }[] {
  return Array.from(expression.matchAll(/(tabswarm_\w+)(?:\{([^}]*)\})?/gu), ([, name = '', selector = '']) => ({
    name,
    labels: Object.fromEntries(
      Array.from(selector.matchAll(/(\w+)="([^"]*)"/gu), ([, label = '', value = '']) => [label, value]).filter(
        ([label = '']) => !OUTSIDE_LABELS.has(label),
      ),
    ),
  }))
}

function dashboardExpressions(): string[] {
  const dashboard = JSON.parse(readFileSync(DASHBOARD, 'utf8')) as { panels: { targets: { expr: string }[] }[] }
  return dashboard.panels.flatMap(({ targets }) => targets.map(({ expr }) => expr))
}

/** An `expr:` stands on its line, or folded (`>-`) on the lines below it that are indented further. */
function alertExpressions(): string[] {
  const text = readFileSync(ALERTS, 'utf8')
  const expressions = Array.from(text.matchAll(/^ +expr: (?:>-\n((?: {10}.*\n)+)|(.*)\n)/gmu), ([, folded, line]) =>
    (folded ?? line ?? '').trim(),
  )
  expect(expressions.length).toBe(text.match(/^ +- alert: /gmu)?.length)
  return expressions
}

function samplesOf(text: string): Sample[] {
  return Array.from(text.matchAll(/^(\w+)(?:\{([^}]*)\})? (\S+)$/gmu), ([, name = '', labels = '', value]) => ({
    name,
    labels: Object.fromEntries(
      Array.from(labels.matchAll(/(\w+)="([^"]*)"/gu), ([, key = '', content = '']) => [key, content]),
    ),
    value: Number(value),
  }))
}

function includes(labels: Record<string, string>, wanted: Record<string, string>): boolean {
  return Object.entries(wanted).every(([label, value]) => labels[label] === value)
}
