/** Named scenarios: what `tabswarm simulate --scenario NAME` runs. Each is a few parameters of the generator, and a seed. */
import { randomChurn, type ChurnScenario, type RandomChurn, type RandomSwarm } from './generate.ts'

export interface Scenario {
  summary: string
  swarm: Omit<RandomSwarm, 'peers' | 'seed'>
  churn: Omit<RandomChurn, 'seed'>
}

const HOUR = 3600
const MINUTE = 60

/** 32 blocks of 60 MB over 100 Mbit/s: the churn row of `npm run bench:planner`. */
const SMALL_MODEL: Scenario['swarm'] = { units: 32, bytesPerUnit: 60e6, downloadBytesPerSecond: 12.5e6 }

export const SCENARIOS = {
  evening: {
    summary: '32 tabs at a time that stay 20 minutes, half of them crash; 120 chats an hour, two hours',
    swarm: SMALL_MODEL,
    churn: {
      peersAtATime: 32,
      seconds: 2 * HOUR,
      meanLifeSeconds: 20 * MINUTE,
      sessionsPerHour: 120,
    },
  },
  'few-tabs': {
    summary: '12 tabs at a time that stay an hour: hardly more than the model needs; four hours',
    swarm: SMALL_MODEL,
    churn: { peersAtATime: 12, seconds: 4 * HOUR, meanLifeSeconds: HOUR, sessionsPerHour: 30 },
  },
  'calm-office': {
    summary: '24 machines that stay all day and only vary in speed; one day',
    swarm: { ...SMALL_MODEL, leaveChance: 0.01, rttMs: 5 },
    churn: {
      peersAtATime: 24,
      seconds: 24 * HOUR,
      meanLifeSeconds: 48 * HOUR,
      crashShare: 0.1,
      slowDownsPerPeerHour: 1,
      sessionsPerHour: 20,
    },
  },
  'bad-day': {
    summary: '32 tabs at a time that stay 8 minutes, all of them crash; one hour',
    swarm: { ...SMALL_MODEL, leaveChance: 0.2 },
    churn: {
      peersAtATime: 32,
      seconds: HOUR,
      meanLifeSeconds: 8 * MINUTE,
      crashShare: 1,
      sessionsPerHour: 120,
    },
  },
  'one-world': {
    summary: '64 tabs spread over 200 ms of distance, daily waves, a head that costs 2.4 blocks; one day',
    swarm: { ...SMALL_MODEL, units: 33, headWeight: 2.4, rttMs: { widthMs: 200, nearMs: 10 } },
    churn: {
      peersAtATime: 64,
      seconds: 24 * HOUR,
      meanLifeSeconds: 2 * HOUR,
      dailySwing: 0.5,
      sessionsPerHour: 20,
    },
  },
  'big-day': {
    summary: '1,000 tabs at a time, 126 blocks, mean life 4 hours; one day (minutes to run)',
    swarm: { units: 126, bytesPerUnit: 1.6e9, downloadBytesPerSecond: 25e6 },
    churn: {
      peersAtATime: 1000,
      seconds: 24 * HOUR,
      meanLifeSeconds: 4 * HOUR,
      dailySwing: 0.3,
      sessionsPerHour: 10,
    },
  },
} as const satisfies Record<string, Scenario>

export type ScenarioName = keyof typeof SCENARIOS

export function isScenarioName(name: string): name is ScenarioName {
  return Object.hasOwn(SCENARIOS, name)
}

export function makeScenario(name: ScenarioName, seed: number): ChurnScenario {
  const { swarm, churn }: Scenario = SCENARIOS[name]
  const made = randomChurn(swarm, { ...churn, seed })
  return { ...made, cluster: { ...made.cluster, name: `${name} (seed ${seed})` } }
}
