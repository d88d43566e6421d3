/** An empty chat: what this is, in a sentence, and three ways to begin. */
import { Mark } from '../parts/icons.tsx'
import { useServices, useTexts } from '../services.ts'

export function EmptyChat() {
  const { meter, models } = useServices()
  const { chat } = useTexts().messages
  const examples =
    models.opened.value?.hasTokenizer === false ? [] : [chat.exampleOne, chat.exampleTwo, chat.exampleThree]
  return (
    <div class="empty">
      <Mark size={72} />
      <h2>{chat.emptyTitle}</h2>
      <p>{chat.emptyBody}</p>
      {examples.length > 0 && (
        <ul class="examples" aria-label={chat.examples}>
          {examples.map((example) => (
            <li key={example}>
              <button
                type="button"
                class="example"
                onClick={() => {
                  meter.draft.value = example
                  // The notice that donors can read prompts stands beside the button that sends.
                  document.querySelector<HTMLElement>('.composer-input')?.focus()
                }}
              >
                {example}
              </button>
            </li>
          ))}
        </ul>
      )}
    </div>
  )
}
