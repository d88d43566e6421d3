/**
 * Tabs that start in the same second never keep the same span: three of the twenty runs; `tests/long` has the others.
 */
import { test } from 'vitest'
import { expectFourSpans } from '../support/simultaneous-start.ts'

test.each([1, 2, 3])('simultaneous start %i: four donors, four spans', () => expectFourSpans())
