import { afterEach, expect, test } from 'vitest'
import { fileUrl, normalizeHubUrl } from '../../../hub/urls.ts'

afterEach(() => {
  Reflect.deleteProperty(globalThis, 'location')
})

test('a path is relative to the page, and means nothing elsewhere', () => {
  expect(() => normalizeHubUrl('/hub')).toThrow(/not the address of a hub/)
  Object.assign(globalThis, { location: { href: 'http://tabswarm.localhost:8080/?donate' } })
  expect(normalizeHubUrl('/hub')).toBe('http://tabswarm.localhost:8080/hub')
  expect(normalizeHubUrl('https://huggingface.co')).toBe('https://huggingface.co')
})

test('trailing slashes go, a base path stays', () => {
  expect(normalizeHubUrl('https://example.org/')).toBe('https://example.org')
  expect(normalizeHubUrl('http://10.0.0.1:80/hub//')).toBe('http://10.0.0.1/hub')
})

test('names are escaped', () => {
  expect(fileUrl('http://h/hub', 'a/b', 'refs/pr/1', 'sub dir/x?y#z')).toBe(
    'http://h/hub/a/b/resolve/refs%2Fpr%2F1/sub%20dir/x%3Fy%23z',
  )
})
