/**
 * The page against a real `start`: four donor tabs, the greedy text of the reference, later turns that reuse the KV cache,
 * reloads that lose nothing, Stop, and Korean that is not sent while it is composed.
 */
import { AxeBuilder } from '@axe-core/playwright'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Browser, BrowserContext, Page } from 'playwright'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { launchChromium, watchErrors } from '../support/browser.ts'
import { ChatPage } from '../support/chat-page.ts'
import { makeTempDir, removeTempDir, REPO_ROOT, startTabswarm, type StartedProcess } from '../support/processes.ts'
import { freePort, tinytalesCase } from '../support/swarm.ts'

interface Turn {
  messages: { role: string; content: string }[]
  input_ids: number[]
  greedy: number[]
  greedy_text: string
}
const TURNS = JSON.parse(
  readFileSync(join(REPO_ROOT, 'tests/fixtures/models/tinytales/reference-turns.json'), 'utf8'),
) as Turn[]
const STORY = tinytalesCase('Tell me a story.')

let started: StartedProcess
let dataDir: string
let url: string
let browser: Browser
let context: BrowserContext
let page: Page
let chat: ChatPage
let errors: string[]

beforeAll(async () => {
  dataDir = makeTempDir('page')
  const port = await freePort()
  started = startTabswarm(['start', '--port', String(port)], { dataDir })
  await started.waitForLine(/^Ready:/, 180_000)
  url = `http://127.0.0.1:${port}/`
  browser = await launchChromium()
})
afterAll(async () => {
  await browser?.close()
  await started?.stop()
  removeTempDir(dataDir)
})

beforeEach(async () => {
  context = await browser.newContext({ viewport: { width: 1280, height: 800 }, locale: 'en-US' })
  page = await context.newPage()
  chat = new ChatPage(page)
  errors = watchErrors(page)
  await page.goto(url)
  await chat.covered()
})
afterEach(async () => {
  await context.close()
  expect(errors, 'no error in the console').toEqual([])
})

/** Runs in the page: tokens of the answer in storage. */
function storedTokens(): Promise<number> {
  return new Promise((resolve, reject) => {
    const opening = indexedDB.open('tabswarm-chats')
    opening.onerror = () => reject(opening.error ?? new Error('no database'))
    opening.onsuccess = () => {
      const db = opening.result
      const all = db.transaction('entries').objectStore('entries').getAll()
      all.onsuccess = () => {
        db.close()
        const rows = all.result as { entry: { ids?: number[] } }[]
        resolve(rows.reduce((sum, { entry }) => sum + (entry.ids?.length ?? 0), 0))
      }
    }
  })
}

describe('a chat on the page', () => {
  test('answers as the reference, over four tabs, and says how', async () => {
    await chat.makeGreedy()
    await chat.send(STORY.prompt)
    expect(await chat.finished(0)).toBe(STORY.greedy_text.trim())
    const hops = await chat.route()
    expect(hops.map(({ span }) => span)).toEqual(['0:2', '2:4', '4:6', '6:8'])
    expect(new Set(hops.map(({ peerId }) => peerId)).size).toBe(4)
    expect(await page.getByTestId('chat-figures').innerText()).toMatch(/tokens\/s[\s\S]*first token after/)
    await page.getByTestId('chat-announcer').getByText(STORY.greedy_text.slice(0, 20)).waitFor({ state: 'attached' })
  })

  test('carries the conversation into later turns and reuses the KV cache', async () => {
    await chat.makeGreedy()
    for (const [i, turn] of TURNS.entries()) {
      await chat.send(turn.messages.at(-1)?.content ?? '')
      expect(await chat.finished(i)).toBe(turn.greedy_text.trim())
      const figures = await page.getByTestId('chat-figures').nth(i).innerText()
      const [, reused, prefilled] = /(\d+) tokens reused, (\d+) prefilled/.exec(figures) ?? []
      expect(Number(reused) + Number(prefilled)).toBe(turn.input_ids.length)
      if (i > 0) expect(Number(prefilled)).toBeLessThanOrEqual(turn.input_ids.length / 2)
    }
  })

  test('survives a reload, and several chats are told apart', async () => {
    await chat.send('Hello!')
    const first = await chat.finished(0)
    await page.getByTestId('chat-new').first().click()
    await chat.send('안녕하세요!')
    await chat.finished(0)
    await page.reload()
    await page.getByTestId('chat-message-user').getByText('안녕하세요!').waitFor()
    await page.getByRole('button', { name: 'Hello!', exact: true }).first().click()
    await page.getByTestId('chat-message-user').getByText('Hello!').waitFor()
    expect(await chat.textOf(0)).toBe(first)
  })

  test('shows an answer that a reload cut off as interrupted, and continues it to the same text', async () => {
    await chat.makeGreedy()
    await chat.send(STORY.prompt)
    await page.locator('[data-testid="chat-status"][data-phase="streaming"]').waitFor()
    await expect.poll(() => page.evaluate(storedTokens), { timeout: 20_000, interval: 20 }).toBeGreaterThan(0)
    await page.reload()
    await chat.answers().and(page.locator('[data-state="interrupted"]')).waitFor()
    await chat.covered()
    await page.getByTestId('chat-continue').click()
    expect(await chat.finished(0)).toBe(STORY.greedy_text.trim())
  })

  test('stops when told to and keeps what came; Retry writes it anew, Copy takes it', async () => {
    await context.grantPermissions(['clipboard-read', 'clipboard-write'])
    await chat.makeGreedy()
    await chat.send(STORY.prompt)
    await chat.underWay()
    await page.getByTestId('chat-stop').click()
    const text = await chat.finished(0, 'stopped')
    expect(text).not.toBe('')
    expect(STORY.greedy_text.trim().startsWith(text)).toBe(true)
    await page.getByTestId('chat-send').waitFor()
    await page.getByTestId('chat-retry').click()
    expect(await chat.finished(0)).toBe(STORY.greedy_text.trim())
    await page.getByRole('button', { name: 'Copy' }).click()
    await page.getByRole('button', { name: 'Copied' }).waitFor()
    expect((await page.evaluate(() => navigator.clipboard.readText())).trim()).toBe(STORY.greedy_text.trim())
  })

  test('follows its settings: a limit of tokens, a text that ends the answer, a seed', async () => {
    const set = async (name: string, value: string): Promise<void> => {
      await page.getByTestId('chat-settings').click()
      await page.getByTestId(`setting-${name}`).fill(value)
      await page.getByTestId(`setting-${name}`).blur()
      await page.keyboard.press('Escape')
    }
    await chat.makeGreedy()
    const word = STORY.greedy_text.trim().split(/\W+/)[8] as string
    await set('stop', word)
    await chat.send(STORY.prompt)
    expect(await chat.finished(0)).toBe(STORY.greedy_text.slice(0, STORY.greedy_text.indexOf(word)).trim())
    await set('stop', '')
    await set('maxTokens', '5')
    await page.getByTestId('chat-retry').click()
    // The answer before it stays until the new one begins: only its figures tell them apart.
    await page.getByTestId('chat-figures').getByText('5 tokens', { exact: true }).waitFor()
    expect(STORY.greedy_text.trim().startsWith(await chat.finished(0))).toBe(true)
    await set('temperature', '1.5')
    await set('topP', '0.9')
    await set('topK', '40')
    await set('repetitionPenalty', '1.2')
    await set('seed', '7')
    const drawn: string[] = []
    for (let i = 0; i < 2; i += 1) {
      await page.getByTestId('chat-retry').click()
      await page.locator('[data-testid="chat-status"]:not([data-phase="idle"])').waitFor()
      // The answer before is done as well, and its text goes when the new one begins: read when that is over.
      await page.locator('[data-testid="chat-status"][data-phase="idle"]').waitFor()
      drawn.push(await chat.finished(0))
    }
    expect(drawn[0]).not.toBe('')
    expect(drawn[0]).toBe(drawn[1])
  })

  test('keeps what is being typed in a setting when the model has been read meanwhile', async () => {
    let read: () => void = () => undefined
    const asked = new Promise<void>((resolve) => (read = resolve))
    await page.route('**/tokenizer.json', async (route) => {
      await asked
      await route.continue()
    })
    await page.reload()
    await page.getByTestId('chat-settings').click()
    const temperature = page.getByTestId('setting-temperature')
    await temperature.fill('0.25')
    read()
    // The model's own values stand in the empty fields once it has been read.
    await page.locator('[data-testid="setting-topP"][placeholder*=":"]').waitFor()
    expect(await temperature.inputValue()).toBe('0.25')
    await temperature.blur()
    expect(await temperature.inputValue()).toBe('0.25')
    await temperature.fill('7')
    await temperature.blur()
    expect(await temperature.inputValue(), 'out of range: the value before it').toBe('0.25')
  })

  test('is renamed and deleted, and stays so after a reload', async () => {
    await chat.send('Hello!')
    await chat.finished(0)
    await page.getByTestId('chat-rename').first().click()
    await page.getByLabel('Title').fill('A fine name')
    await page.getByRole('button', { name: 'Save' }).click()
    await page.reload()
    await page.getByRole('button', { name: 'A fine name', exact: true }).waitFor()
    await page.getByTestId('chat-remove').first().click()
    await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click()
    await page.getByRole('button', { name: 'A fine name', exact: true }).waitFor({ state: 'detached' })
    await page.reload()
    await page.getByText('Your chats are kept in this browser.').first().waitFor()
    expect(await page.getByTestId('chat-message-user').count()).toBe(0)
  })

  test('in two tabs at once is one chat: each follows the other, and only one answers at a time', async () => {
    await chat.makeGreedy()
    await chat.send('Hello!')
    await chat.finished(0)
    const other = new ChatPage(await context.newPage())
    await other.page.goto(url)
    await other.covered()
    await other.finished(0)
    await chat.send(STORY.prompt)
    await other.underWay()
    await other.send('Hello!')
    await other.page.locator('[data-code="CHAT_TAKEN"]').waitFor()
    expect(await other.page.getByTestId('chat-input').inputValue()).toBe('Hello!')
    expect(await other.finished(1)).toBe(await chat.finished(1))
    await other.page.getByTestId('chat-send').click()
    await other.finished(2)
    await chat.finished(2)
    expect(await page.getByTestId('chat-message-user').allInnerTexts()).toEqual(['Hello!', STORY.prompt, 'Hello!'])
  })

  test('says so when the browser has no room for it', async () => {
    const devtools = await context.newCDPSession(page)
    await devtools.send('Storage.overrideQuotaForOrigin', { origin: new URL(url).origin, quotaSize: 1 })
    await chat.send('Hello!')
    await page.locator('[data-code="STORAGE_FULL"]').waitFor()
    expect(await page.getByTestId('chat-input').inputValue()).toBe('Hello!')
  })

  test('Enter while Hangul is composed does not send, the next one does', async () => {
    const input = page.getByTestId('chat-input')
    await input.focus()
    const devtools = await context.newCDPSession(page)
    await devtools.send('Input.imeSetComposition', { text: '안녕', selectionStart: 2, selectionEnd: 2 })
    const composing = { key: 'Enter', code: 'Enter', windowsVirtualKeyCode: 229 } as const
    await devtools.send('Input.dispatchKeyEvent', { type: 'rawKeyDown', ...composing })
    await devtools.send('Input.dispatchKeyEvent', { type: 'keyUp', ...composing })
    await devtools.send('Input.insertText', { text: '안녕' })
    expect(await page.getByTestId('chat-message-user').count()).toBe(0)
    expect(await input.inputValue()).toBe('안녕')
    await input.press('Shift+Enter')
    expect(await input.inputValue()).toBe('안녕\n')
    await input.press('Enter')
    await page.getByTestId('chat-message-user').getByText('안녕').waitFor()
    await chat.finished(0)
  })

  test('says that the context is full before anything is sent', async () => {
    await page.getByTestId('chat-input').fill('word '.repeat(1200))
    await page.getByTestId('context-full').waitFor()
    expect(await page.getByTestId('chat-send').isDisabled()).toBe(true)
    expect(await page.getByTestId('chat-message-user').count()).toBe(0)
  })
})

describe('the page', () => {
  test('keeps the privacy notice in view from before the first send', async () => {
    const notice = page.getByTestId('notice-privacy')
    expect(await notice.isVisible()).toBe(true)
    await chat.send('Hello!')
    await chat.finished(0)
    expect(await notice.isVisible()).toBe(true)
  })

  test('prompts on a phone without WebGPU, in Korean, and says why it cannot donate', async () => {
    const phone = await browser.newContext({ viewport: { width: 390, height: 844 }, locale: 'ko-KR', hasTouch: true })
    await phone.addInitScript(() => {
      delete (Navigator.prototype as { gpu?: unknown }).gpu
    })
    page = await phone.newPage()
    await page.goto(url)
    await page.locator('html[lang="ko"]').waitFor()
    const onPhone = new ChatPage(page)
    await onPhone.send('안녕하세요!')
    await onPhone.finished(0)
    await page.getByRole('link', { name: '기부' }).click()
    await page.getByText('이 브라우저는 GPU를 빌려줄 수 없습니다').waitFor()
    expect(await page.getByTestId('donate-start').count()).toBe(0)
    await phone.close()
  })

  test('asks nobody but its own server', async () => {
    const asked = new Set<string>()
    page.on('request', (request) => asked.add(new URL(request.url()).origin))
    await page.reload()
    await chat.send('Hello!')
    await chat.finished(0)
    expect([...asked]).toEqual([new URL(url).origin])
  })

  test('shows the swarm, and has nothing serious by axe in any view', async () => {
    for (const view of ['chat', 'donate', 'swarm']) {
      await page.goto(`${url}#${view}`)
      await page.locator(`.shell-${view}`).waitFor()
      if (view === 'swarm') expect(await page.getByTestId('swarm-table').locator('tbody tr').count()).toBe(4)
      if (view === 'donate') await page.locator('[data-status="ready"]').waitFor({ timeout: 60_000 })
      const { violations } = await new AxeBuilder({ page }).analyze()
      expect(violations.filter(({ impact }) => impact === 'serious' || impact === 'critical')).toEqual([])
    }
  })

  test('a donate link shows the plan and starts nothing', async () => {
    await page.goto(`${url}?donate&num_blocks=2`)
    await page.locator('[data-status="ready"]').waitFor({ timeout: 60_000 })
    expect(await page.getByTestId('plan-download').innerText()).toMatch(/MB|kB/)
    expect(await page.getByTestId('donate-start').isEnabled()).toBe(true)
    const handle = await page.evaluate(() => {
      const { tabswarm } = globalThis as unknown as {
        tabswarm: { donor(): { status: string }; peerId(): string | null }
      }
      return [tabswarm.donor().status, tabswarm.peerId()]
    })
    expect(handle).toEqual(['ready', null])
  })
})
