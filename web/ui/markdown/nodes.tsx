/**
 * A model's markdown as Preact nodes. marked only cuts the text into tokens; no HTML string is ever made, so there is
 * nothing to sanitise: HTML in an answer is shown as the text that it is, images are shown as links, and a link goes
 * only to an allowed address.
 */
import { marked, type Token, type Tokens } from 'marked'
import type { ComponentChildren } from 'preact'
import { useMemo } from 'preact/hooks'
import { CodeBlock } from './code-block.tsx'
import { safeHref } from './links.ts'

/** Deeper nesting is no writing but an attack on the stack. */
const MAX_DEPTH = 24
/** Longer answers are shown as plain text: cutting them anew at every token would take too long. */
const MAX_MARKDOWN_CHARS = 50_000

export function Markdown({ text }: { text: string }) {
  // Cut into tokens once a text, not at every drawing of the chat.
  return <div class="prose">{useMemo(() => markdownNodes(text), [text])}</div>
}

export function markdownNodes(text: string): ComponentChildren {
  if (text.length > MAX_MARKDOWN_CHARS) return <p class="plain">{text}</p>
  let tokens: Token[]
  try {
    tokens = marked.lexer(text, { gfm: true, breaks: true })
  } catch {
    // Nesting that overflows the lexer's own recursion: the text is shown as it is.
    return <p class="plain">{text}</p>
  }
  return nodes(tokens, 0)
}

function nodes(tokens: readonly Token[] | undefined, depth: number): ComponentChildren[] {
  if (tokens === undefined) return []
  if (depth > MAX_DEPTH) return tokens.map((token) => token.raw)
  return tokens.map((token, i) => node(token as MarkedToken, depth + 1, i))
}

type MarkedToken =
  | Tokens.Blockquote
  | Tokens.Br
  | Tokens.Checkbox
  | Tokens.Code
  | Tokens.Codespan
  | Tokens.Def
  | Tokens.Del
  | Tokens.Em
  | Tokens.Escape
  | Tokens.Heading
  | Tokens.Hr
  | Tokens.HTML
  | Tokens.Image
  | Tokens.Link
  | Tokens.List
  | Tokens.ListItem
  | Tokens.Paragraph
  | Tokens.Space
  | Tokens.Strong
  | Tokens.Table
  | Tokens.Tag
  | Tokens.Text

function node(token: MarkedToken, depth: number, key: number): ComponentChildren {
  switch (token.type) {
    case 'space':
    case 'def':
      return null
    case 'paragraph':
      return <p key={key}>{nodes(token.tokens, depth)}</p>
    case 'heading':
      return heading(token, depth, key)
    case 'blockquote':
      return <blockquote key={key}>{nodes(token.tokens, depth)}</blockquote>
    case 'list':
      return list(token, depth, key)
    case 'list_item':
      return <li key={key}>{nodes(token.tokens, depth)}</li>
    case 'checkbox':
      return token.checked ? '☑ ' : '☐ '
    case 'code':
      return <CodeBlock key={key} text={token.text} language={token.lang ?? ''} />
    case 'table':
      return table(token, depth, key)
    case 'hr':
      return <hr key={key} />
    case 'br':
      return <br key={key} />
    case 'strong':
      return <strong key={key}>{nodes(token.tokens, depth)}</strong>
    case 'em':
      return <em key={key}>{nodes(token.tokens, depth)}</em>
    case 'del':
      return <del key={key}>{nodes(token.tokens, depth)}</del>
    case 'codespan':
      return <code key={key}>{token.text}</code>
    case 'link':
      return link(token.href, nodes(token.tokens, depth), token.raw, key)
    case 'image':
      return link(token.href, [token.text === '' ? token.href : token.text], token.raw, key)
    case 'escape':
      return token.text
    case 'text':
      return 'tokens' in token && token.tokens !== undefined ? nodes(token.tokens, depth) : unescapeEntities(token.text)
    case 'html':
      return token.raw
    default:
      return (token satisfies never as Token).raw
  }
}

/** Headings of an answer start below the page's own two levels. */
function heading(token: Tokens.Heading, depth: number, key: number): ComponentChildren {
  const children = nodes(token.tokens, depth)
  if (token.depth <= 1) return <h3 key={key}>{children}</h3>
  if (token.depth === 2) return <h4 key={key}>{children}</h4>
  return <h5 key={key}>{children}</h5>
}

function list(token: Tokens.List, depth: number, key: number): ComponentChildren {
  const items = token.items.map((item, i) => <li key={i}>{nodes(item.tokens, depth)}</li>)
  if (!token.ordered) return <ul key={key}>{items}</ul>
  return (
    <ol key={key} start={token.start === '' ? 1 : token.start}>
      {items}
    </ol>
  )
}

function table(token: Tokens.Table, depth: number, key: number): ComponentChildren {
  return (
    <div key={key} class="scroll-x" tabIndex={0}>
      <table>
        <thead>
          <tr>
            {token.header.map((cell, i) => (
              <th key={i} scope="col">
                {nodes(cell.tokens, depth)}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {token.rows.map((row, i) => (
            <tr key={i}>
              {row.map((cell, j) => (
                <td key={j}>{nodes(cell.tokens, depth)}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}

function link(href: string, children: ComponentChildren[], raw: string, key: number): ComponentChildren {
  const safe = safeHref(href)
  if (safe === null) return raw
  return (
    <a key={key} href={safe} target="_blank" rel="noopener noreferrer nofollow">
      {children}
    </a>
  )
}

const ENTITIES: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', '#39': "'", nbsp: '\u00a0' }

/** marked leaves entities in text for an HTML writer; as a text node they have to be what they stand for. */
function unescapeEntities(text: string): string {
  return text.replace(/&(amp|lt|gt|quot|#39|nbsp);/g, (whole, name: string) => ENTITIES[name] ?? whole)
}
