/**
 * The recipes of `docs/hosting.md`, each run from the document's own text: a certificate of one's own, Caddy and nginx in front, a
 * tunnel. Through each a real browser opens the page, is granted a secure context, joins, and is answered by one donor tab.
 */
import { userInfo } from 'node:os'
import { join } from 'node:path'
import type { Browser } from 'playwright'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { launchChromium, watchErrors } from '../support/browser.ts'
import { keyHash, TestAuthority, whyNoCertificates, type MadeCertificate } from '../support/certificates.ts'
import { ChatPage } from '../support/chat-page.ts'
import { codeBlocks } from '../support/code-blocks.ts'
import { startCaddy, startNginx, startSsh, whyNoProgram } from '../support/hosting-recipes.ts'
import {
  cleanEnv,
  makeTempDir,
  processesOf,
  removeTempDir,
  REPO_ROOT,
  startProcess,
  startTabswarm,
  type StartedProcess,
} from '../support/processes.ts'
import { freePort, READY, tinytalesCase } from '../support/swarm.ts'

const WHY_NOT = whyNoCertificates()
const STORY = tinytalesCase('Tell me a story.')
const BLOCKS = codeBlocks('docs/hosting.md')
const used = new Set<string>()

function block(name: string): string {
  used.add(name)
  const found = BLOCKS.get(name)
  if (found === undefined) throw new Error(`docs/hosting.md has no block ${name}`)
  return found.text
}

const skipped = (why: string | null): string => (why === null ? '' : ` (skipped: ${why})`)

describe.skipIf(WHY_NOT !== null)(`recipes for hosts${skipped(WHY_NOT)}`, () => {
  const started: StartedProcess[] = []
  let folder: string
  let authority: TestAuthority
  let own: MadeCertificate
  let proxied: MadeCertificate
  let browser: Browser
  let ports: { own: number; proxy: number; behind: number }
  /** The first relay under an address that this machine finds without a name server. */
  let address: string

  /** Runs a recipe in the project's folder, with what is different here put in its place. */
  function run(name: string, changes: readonly (readonly [string, string])[], extra = ''): StartedProcess {
    const text = changes.reduce((all, [from, to]) => {
      if (!all.includes(from)) throw new Error(`the recipe ${name} does not say ${from}`)
      return all.replaceAll(from, to)
    }, block(name).trim())
    const running = startProcess('bash', ['-c', `${text} ${extra}`], {
      env: cleanEnv({ TABSWARM_DATA_DIR: join(folder, 'data') }),
      cwd: REPO_ROOT,
      asGroup: true,
    })
    started.push(running)
    return running
  }

  beforeAll(async () => {
    folder = makeTempDir('hosting')
    authority = new TestAuthority(folder)
    own = authority.certificate('own', ['DNS:relay.example', 'IP:127.0.0.1'])
    proxied = authority.certificate('proxied', ['DNS:proxied.example'])
    ports = { own: await freePort(), proxy: await freePort(), behind: await freePort() }
    browser = await launchChromium({
      args: [
        `--host-resolver-rules=MAP relay.example 127.0.0.1,MAP proxied.example:443 127.0.0.1:${ports.proxy}`,
        // People trust an operator's authority through their system; a test without touching it.
        `--ignore-certificate-errors-spki-list=${[own, proxied].map(keyHash).join(',')}`,
      ],
    })
    const relay = run('own-certificate', [
      ['8443', String(ports.own)],
      ['/etc/tabswarm/fullchain.pem', own.certFile],
      ['/etc/tabswarm/privkey.pem', own.keyFile],
    ])
    const line = await relay.waitForLine(/DHT visible multiaddrs/, 60_000)
    const peerId = /\/dns4\/relay\.example\/tcp\/\d+\/tls\/ws\/p2p\/(\w+)/.exec(line)?.[1]
    expect(line).toContain(`/dns4/relay.example/tcp/${ports.own}/tls/ws/p2p/`)
    address = `/ip4/127.0.0.1/tcp/${ports.own}/tls/ws/p2p/${peerId}`
    const donor = startTabswarm(['donate', '--ca', authority.caFile, '--dht_initial_peers', address], {
      dataDir: join(folder, 'data'),
    })
    started.push(donor)
    await donor.waitForLine(READY, 120_000)
  })

  afterAll(async () => {
    await browser?.close()
    await Promise.all(started.map((each) => each.stop()))
    expect(processesOf(folder)).toEqual([])
    removeTempDir(folder)
  })

  /** Opens the page there, and is answered. */
  async function expectAnswerAt(url: string, unreachable = 'nothing'): Promise<void> {
    const context = await browser.newContext()
    const page = await context.newPage()
    const errors = watchErrors(page)
    const chat = new ChatPage(page)
    await chat.openGreedy(url)
    expect(await page.evaluate(() => [isSecureContext, 'gpu' in navigator, location.origin])).toEqual([
      true,
      true,
      new URL(url).origin,
    ])
    await chat.send(STORY.prompt)
    expect(await chat.finished(0)).toBe(STORY.greedy_text.trim())
    expect(errors.filter((error) => !error.includes(unreachable))).toEqual([])
    await context.close()
  }

  test('a certificate of one’s own: the page answers; command lines trust it with --ca, and say so without', async () => {
    await expectAnswerAt(`https://relay.example:${ports.own}/`)
    const example = '/dns4/relay.example/tcp/8443/tls/ws/p2p/12D3KooW...'
    const ask = (ca: string): StartedProcess =>
      run(
        'own-authority',
        [
          ['--ca /etc/tabswarm/ca.pem', ca],
          [example, address],
          ['Hello, how are you?', STORY.prompt],
        ],
        '--temperature 0',
      )
    const trusting = ask(`--ca ${authority.caFile}`)
    expect((await trusting.exited(60_000)).code, trusting.both.join('\n')).toBe(0)
    expect(trusting.stdoutText().trim()).toBe(STORY.greedy_text.trim())
    const probe = run(
      'probe',
      [['/dns4/relay.example/tcp/8443/tls/ws/p2p/12D3KooW...', address]],
      `--ca ${authority.caFile}`,
    )
    expect((await probe.exited(60_000)).code, probe.both.join('\n')).toBe(0)
    expect(probe.stdout.join('\n')).toMatch(/^ok +certificate: trusted, (19|20) days left\.$/m)
    const doubting = ask('')
    expect((await doubting.exited(60_000)).code).toBe(1)
    expect(doubting.stderr.join('\n')).toMatch(
      /The certificate of https:\/\/127\.0\.0\.1:\d+ is not trusted: .*--ca FILE/,
    )
  })

  async function startBehindProxy(): Promise<void> {
    const relay = run(
      'behind-proxy',
      [
        ['8080', String(ports.behind)],
        ['relay.example', 'proxied.example'],
      ],
      `--dht-initial-peers ${address} --ca ${authority.caFile}`,
    )
    await relay.waitForLine(/\/dns4\/proxied\.example\/tcp\/443\/tls\/ws\/p2p\//, 60_000)
  }

  describe.each([
    ['caddy', 'caddyfile', startCaddy],
    ['nginx', 'nginx', startNginx],
  ] as const)('a proxy', (program, name, start) => {
    const why = whyNoProgram(program)
    test.skipIf(why !== null)(
      `${program} in front: the page answers under the proxy’s name${skipped(why)}`,
      async () => {
        if (!started.some((each) => each.stdout.some((line) => line.includes('proxied.example'))))
          await startBehindProxy()
        const text = block(name).replace('127.0.0.1:8080', `127.0.0.1:${ports.behind}`)
        const proxy = start({ text, folder, port: ports.proxy, certificate: proxied })
        try {
          await expect
            .poll(
              () =>
                fetch(`http://127.0.0.1:${ports.proxy}/`).then(
                  (answer) => answer.status,
                  () => 0,
                ),
              { timeout: 20_000 },
            )
            .not.toBe(0)
          await expectAnswerAt('https://proxied.example/')
        } finally {
          await proxy.stop()
        }
      },
    )
  })

  const whyNoSsh = whyNoProgram('ssh', 'sshd', 'ssh-keygen')
  test.skipIf(whyNoSsh !== null)(`a tunnel: the relay’s port is one of this machine${skipped(whyNoSsh)}`, async () => {
    const [port, sshPort] = [await freePort(), await freePort()]
    // On another loopback address than the tunnel's end: what answers at 127.0.0.1 came through it.
    const relay = run(
      'tunnel-relay',
      [
        ['8080', String(port)],
        ['127.0.0.1', '127.0.0.2'],
      ],
      `--public-ip 127.0.0.1 --dht-initial-peers ${address} --ca ${authority.caFile}`,
    )
    await relay.waitForLine(/DHT visible multiaddrs/, 60_000)
    const ssh = startSsh(folder, sshPort)
    started.push(ssh.server)
    await ssh.server.waitForLine(/listening on/i, 20_000)
    const tunnel = run('tunnel', [
      ['ssh -N', `ssh ${ssh.clientOptions.join(' ')} -N`],
      ['8080:127.0.0.1:8080', `${port}:127.0.0.2:${port}`],
      ['you@relay.example', `${userInfo().username}@127.0.0.1`],
    ])
    await tunnel.waitForLine(/Local forwarding listening on 127\.0\.0\.1/, 20_000)
    // The relay of the tests before is known to the swarm, and its proxy is gone.
    await expectAnswerAt(`http://localhost:${port}/`, 'wss://proxied.example/')
  })

  test('every recipe was run, but for programs that are not here', () => {
    const absent = [
      ...(whyNoProgram('caddy') === null ? [] : ['caddyfile']),
      ...(whyNoProgram('nginx') === null ? [] : ['nginx']),
      ...(whyNoProgram('caddy', 'nginx') !== null && !used.has('behind-proxy') ? ['behind-proxy'] : []),
      ...(whyNoSsh === null ? [] : ['tunnel-relay', 'tunnel']),
    ]
    expect([...BLOCKS.keys()].filter((name) => !used.has(name) && !absent.includes(name))).toEqual([])
  })
})
