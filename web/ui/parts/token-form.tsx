/** Where a token for a gated model is pasted: kept in memory only, as the text beneath it says. */
import { useServices, useTexts } from '../services.ts'

export function TokenForm({ id }: { id: string }) {
  const { environment } = useServices()
  const { donate } = useTexts().messages
  return (
    <form
      class="field token-form"
      onSubmit={(event) => {
        event.preventDefault()
        const input = event.currentTarget.elements.namedItem('token')
        if (input instanceof HTMLInputElement && input.value.trim() !== '') environment.setHubToken(input.value.trim())
      }}
    >
      <label for={id}>{donate.token}</label>
      <div class="token-row">
        <input
          id={id}
          name="token"
          type="password"
          autocomplete="off"
          spellcheck={false}
          required
          aria-describedby={`${id}-help`}
        />
        <button type="submit" class="button">
          {donate.tokenUse}
        </button>
      </div>
      <p class="help" id={`${id}-help`}>
        {donate.tokenHelp}
      </p>
    </form>
  )
}
