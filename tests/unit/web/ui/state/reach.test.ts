import { expect, test } from 'vitest'
import type { ReachFindings } from '../../../../../swarm/reach.ts'
import { SwarmError } from '../../../../../swarm/errors.ts'
import { createReachProbe } from '../../../../../web/ui/state/reach.ts'
import { fakeReach } from '../../../../e2e/harness/fakes.ts'

const FOUND: ReachFindings = {
  relay: { outcome: 'reserved', address: 'a' },
  addresses: { outcome: 'public', asked: true },
  dial: { outcome: 'direct' },
}
const options = { isAutomatic: true, now: () => 7 }

test('what was found, with its verdict', async () => {
  const probe = createReachProbe(fakeReach(FOUND), options)
  await probe.probe()
  expect(probe.state.value).toEqual({
    status: 'done',
    found: FOUND,
    reach: { verdict: 'direct', why: 'public' },
    at: 7,
  })
})

test('one at a time: a second call leaves the first alone', async () => {
  let probes = 0
  const probe = createReachProbe(
    {
      probe: () => {
        probes += 1
        return Promise.resolve(FOUND)
      },
    },
    options,
  )
  await Promise.all([probe.probe(), probe.probe()])
  expect(probes).toBe(1)
})

test('when serving ends, a probe under way is given up and says nothing', async () => {
  const probe = createReachProbe(fakeReach(null), options)
  const running = probe.probe()
  expect(probe.state.value.status).toBe('probing')
  probe.forget()
  await running
  expect(probe.state.value).toEqual({ status: 'idle' })
})

test('one that fails says why', async () => {
  const error = new SwarmError('PAGE_INCOMPLETE', 'a part is missing')
  const probe = createReachProbe({ probe: () => Promise.reject(error) }, options)
  await probe.probe()
  expect(probe.state.value).toMatchObject({ status: 'failed', error: { code: 'PAGE_INCOMPLETE' } })
})
