/** The trap that other tests rely on: a token that goes astray is seen. */
import { fileURLToPath } from 'node:url'
import { downloadFile } from '@huggingface/hub'
import { expect, test } from 'vitest'
import { startHubStandIn } from '../../support/hub-stand-in.ts'

const tinytales = fileURLToPath(new URL('../../../models/tinytales/', import.meta.url))

test('a token sent to storage is a leak, and is refused there', async () => {
  const hub = await startHubStandIn({ models: { m: tinytales } })
  try {
    const commit = hub.repo('m').resolve('main')?.commit
    const url = `${hub.storageUrl}/m/${commit}/model-00001-of-00002.safetensors?Signature=x`
    expect((await fetch(url, { headers: { Authorization: 'Bearer hf_x' } })).status).toBe(400)
    expect(hub.tokenLeaks()).toHaveLength(1)
  } finally {
    await hub.close()
  }
})

test('a client that sends the token to the refresh address the server names is caught', async () => {
  const hub = await startHubStandIn({ models: { m: tinytales }, storage: 'xet' })
  try {
    const path = 'model-00001-of-00002.safetensors'
    const file = await downloadFile({ repo: 'm', path, hubUrl: hub.url, accessToken: 'hf_x' })
    // What it downloads is nothing here: only where it sent the token counts.
    await file
      ?.slice(0, 8)
      .arrayBuffer()
      .catch(() => undefined)
    expect(hub.tokenLeaks().map((request) => request.origin)).toContain('refresh')
  } finally {
    await hub.close()
  }
})
