/** Tabs that start in the same second never keep the same span: the seventeen runs that `npm test` leaves out. */
import { test } from 'vitest'
import { expectFourSpans } from '../support/simultaneous-start.ts'

const RUNS = Array.from({ length: 17 }, (_, index) => index + 4)

test.each(RUNS)('simultaneous start %i: four donors, four spans', () => expectFourSpans())
