/** A code block with its language and a copy button. */
import { CopyButton } from '../parts/copy-button.tsx'

export function CodeBlock({ text, language }: { text: string; language: string }) {
  // The info string may be anything: only a plain word is shown.
  const label = /^[\w+#.-]{1,20}/.exec(language)?.[0] ?? ''
  return (
    <div class="code-block">
      <div class="code-head">
        <span>{label}</span>
        <CopyButton text={() => text} />
      </div>
      <pre tabIndex={0}>
        <code>{text}</code>
      </pre>
    </div>
  )
}
