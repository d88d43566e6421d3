import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { applyPatch, patchWebrtcDial } from '../../../../net/build/patch-webrtc-dial.ts'

const LIBRARY = 'node_modules/@libp2p/webrtc/dist/src/private-to-private/initiate-connection.js'

test('the installed library is the one that the patch was written for', () => {
  const patched = applyPatch(readFileSync(LIBRARY, 'utf8'))
  expect(patched).toContain("if (channel.readyState === 'connecting') {")
  expect(patched).toContain("if (channel.readyState !== 'closed') await pEvent(channel, 'close', {")
})

test('another text fails the build loudly', () => {
  expect(() => applyPatch('const a = 1')).toThrow(/found 0 times/)
  const patched = applyPatch(readFileSync(LIBRARY, 'utf8'))
  expect(() => applyPatch(patched)).toThrow(/patch-webrtc-dial/)
})

test('a build that leaves the library outside fails loudly', () => {
  const { generateBundle } = patchWebrtcDial()
  expect(() => generateBundle({}, { 'main.js': { imports: ['node:fs', '@libp2p/ping'] } })).not.toThrow()
  expect(() => generateBundle({}, { 'main.js': { imports: ['@libp2p/webrtc'] } })).toThrow(/not patched/)
})
