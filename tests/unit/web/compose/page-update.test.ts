import { afterEach, expect, test, vi } from 'vitest'
import { PageUpdate } from '../../../../web/compose/page-update.ts'

let now = 0
afterEach(() => {
  vi.unstubAllGlobals()
  vi.restoreAllMocks()
})

const index = (script: string, style: string) => `<!doctype html><html><head>
  <link rel="icon" href="./assets/mark-1.svg" type="image/svg+xml" />
  <script type="module" crossorigin src="./assets/${script}"></script>
  <link rel="stylesheet" crossorigin href="./assets/${style}">
</head><body></body></html>`

/** A page that was started with these files, and what its server says when it is asked. */
function page(script: string, style: string) {
  vi.spyOn(performance, 'now').mockImplementation(() => now)
  const server = { answer: new Response(), asked: [] as string[] }
  vi.stubGlobal('fetch', async (address: string, options: RequestInit) => {
    expect(options.cache).toBe('no-store')
    server.asked.push(address)
    if (server.answer.type === 'error') throw new TypeError('failed to fetch')
    return server.answer
  })
  const element = (name: string, value: string) => ({
    getAttribute: (asked: string) => (asked === name ? value : null),
  })
  const elements = [element('src', `./assets/${script}`), element('href', `./assets/${style}`)]
  const document = { baseURI: 'https://relay.example/swarm/?donate#chat', querySelectorAll: () => elements }
  const update = new PageUpdate(document as unknown as Document)
  return {
    server,
    look: async (answer: Response) => {
      now += 60_000
      server.answer = answer
      return await update.look()
    },
    lookAgain: async () => await update.look(),
  }
}

test('the same files are no update; another script or style sheet is', async () => {
  const { look, server } = page('main-a.js', 'main-b.css')
  expect(await look(new Response(index('main-a.js', 'main-b.css')))).toBeNull()
  expect(server.asked).toEqual(['https://relay.example/swarm/'])
  expect(await look(new Response(index('main-a.js', 'main-c.css')))).toContain('main-c.css')
  expect(await look(new Response(index('main-d.js', 'main-b.css')))).toContain('main-d.js')
  // Rolled back.
  expect(await look(new Response(index('main-a.js', 'main-b.css')))).toBeNull()
})

test('what is not an index of ours says nothing, and changes nothing that is known', async () => {
  const { look } = page('main-a.js', 'main-b.css')
  expect(await look(new Response('<h1>Please sign in</h1>'))).toBeNull()
  const found = await look(new Response(index('main-d.js', 'main-b.css')))
  expect(found).not.toBeNull()
  expect(await look(Response.error())).toBe(found)
  expect(await look(new Response(index('main-a.js', 'main-b.css'), { status: 502 }))).toBe(found)
  expect(await look(new Response(`${index('main-a.js', 'main-b.css')}${' '.repeat(100_000)}`))).toBe(found)
})

test('reasons that come together are one request', async () => {
  const { look, lookAgain, server } = page('main-a.js', 'main-b.css')
  await Promise.all([look(new Response(index('main-a.js', 'main-b.css'))), lookAgain(), lookAgain()])
  await lookAgain()
  expect(server.asked).toHaveLength(1)
})
