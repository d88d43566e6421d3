import fc from 'fast-check'
import type { VNode } from 'preact'
import { describe, expect, test } from 'vitest'
import { safeHref } from '../../../../../web/ui/markdown/links.ts'
import { markdownNodes } from '../../../../../web/ui/markdown/nodes.tsx'

interface Element {
  tag: string
  props: Record<string, unknown>
}

/** All elements and the visible text of a tree; components (code blocks) count under their function's name. */
function flatten(tree: unknown): { elements: Element[]; text: string } {
  const elements: Element[] = []
  let text = ''
  const visit = (node: unknown): void => {
    if (node === null || node === undefined || typeof node === 'boolean') return
    if (Array.isArray(node)) return node.forEach(visit)
    if (typeof node === 'string' || typeof node === 'number') {
      text += node
      return
    }
    const { type, props } = node as VNode<Record<string, unknown>>
    elements.push({ tag: typeof type === 'string' ? type : (type as { name: string }).name, props })
    if (typeof type === 'string') visit(props['children'])
    else text += String(props['text'])
  }
  visit(tree)
  return { elements, text }
}

const HARMLESS = new Set(
  'p h3 h4 h5 blockquote ul ol li CodeBlock div table thead tbody tr th td hr br strong em del code a'.split(' '),
)

function expectHarmless(markdown: string): ReturnType<typeof flatten> {
  const flat = flatten(markdownNodes(markdown))
  for (const { tag, props } of flat.elements) {
    expect(HARMLESS, tag).toContain(tag)
    expect(Object.keys(props).filter((name) => /^on|style|srcdoc|dangerously/i.test(name))).toEqual([])
    if (tag === 'a') {
      expect(String(props['href'])).toMatch(/^(https?:|mailto:)/)
      expect(props['rel']).toBe('noopener noreferrer nofollow')
      expect(props['target']).toBe('_blank')
    }
  }
  return flat
}

const HOSTILE = [
  '<script>alert(1)</script>',
  '<img src=x onerror=alert(1)>',
  '<svg/onload=alert(1)>',
  '<iframe srcdoc="<script>alert(1)</script>"></iframe>',
  '<a href="javascript:alert(1)">x</a>',
  '[x](javascript:alert(1))',
  '[x](JaVaScRiPt:alert(1))',
  '[x](java\nscript:alert(1))',
  '[x](&#106;avascript:alert(1))',
  '[x](data:text/html;base64,PHNjcmlwdD4=)',
  '[x](vbscript:msgbox(1))',
  '[x](file:///etc/passwd)',
  '[x](//evil.example/a)',
  '[x](/relative)',
  '[x](https://user:pass@evil.example/)',
  '![x](https://evil.example/pixel.png)',
  '![x](javascript:alert(1))',
  '<javascript:alert(1)>',
  '[a]: javascript:alert(1)\n\n[a]',
  '```html\n<script>alert(1)</script>\n```',
  '```"><script>alert(1)</script>\nx\n```',
  '<style>*{display:none}</style>',
  '<form action=https://evil.example><input name=q></form>',
  '<!-- comment --><b onmouseover=alert(1)>x</b>',
  '<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>',
  '| <img src=x onerror=alert(1)> |\n|---|\n| [x](javascript:alert(1)) |',
  '# <script>alert(1)</script>',
  '- <img src=x onerror=alert(1)>',
  '> <svg onload=alert(1)>',
  '`<script>alert(1)</script>`',
]

describe('a model’s answer', () => {
  test.each(HOSTILE)('%s stays text', (payload) => {
    expectHarmless(payload)
  })

  test('is harmless at every moment of the stream', () => {
    for (const payload of HOSTILE) {
      for (let end = 1; end <= payload.length; end += 1) expectHarmless(`Well: ${payload.slice(0, end)}`)
    }
  })

  test('is harmless for any mixture', () => {
    const piece = fc.oneof(
      fc.constantFrom(...HOSTILE),
      fc.string(),
      fc.constantFrom('**', '\n\n', '- ', '> ', '[', ']('),
    )
    fc.assert(fc.property(fc.array(piece, { maxLength: 6 }), (pieces) => void expectHarmless(pieces.join(''))))
  })

  test('shows HTML as the text that it is', () => {
    expect(expectHarmless('a <b>bold</b> word').text).toBe('a <b>bold</b> word')
  })

  test('shows an image as a link and loads nothing', () => {
    const { elements, text } = expectHarmless('![a cat](https://example.org/cat.png)')
    expect(elements.map(({ tag }) => tag)).toEqual(['p', 'a'])
    expect(text).toBe('a cat')
  })

  test('keeps the whole text of a link that leads nowhere allowed', () => {
    expect(expectHarmless('[x](javascript:alert(1))').text).toBe('[x](javascript:alert(1))')
  })

  test('shows entities as what they stand for, once', () => {
    expect(expectHarmless('a &amp; b &lt;c&gt; &amp;lt;').text).toBe('a & b <c> &lt;')
  })

  test.each([
    ['# one', 'h3'],
    ['**a**', 'strong'],
    ['1. a\n2. b', 'ol'],
    ['| a |\n|---|\n| b |', 'table'],
    ['```js\nlet a\n```', 'CodeBlock'],
  ])('%s is markdown', (markdown, tag) => {
    expect(expectHarmless(markdown).elements.map((element) => element.tag)).toContain(tag)
  })

  test.each([
    ['quotes', '>'.repeat(20_000) + ' x'],
    ['brackets', '['.repeat(20_000)],
    ['stars', '*'.repeat(20_000) + 'x'],
    ['lists', Array.from({ length: 220 }, (_, i) => `${' '.repeat(i * 2)}- x`).join('\n')],
  ])('deep %s neither hang nor overflow', (_name, markdown) => {
    // Processor time, not the clock's: what others do on this machine is no hang of ours.
    const before = process.cpuUsage()
    expectHarmless(markdown)
    const { user, system } = process.cpuUsage(before)
    expect((user + system) / 1000).toBeLessThan(5_000)
  })
})

describe('safeHref', () => {
  test.each(['https://example.org/a?b#c', 'http://example.org/', 'mailto:a@example.org'])('%s is a link', (href) => {
    expect(safeHref(href)).toBe(href)
  })
})
