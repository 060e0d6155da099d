/**
 * Whether an engine has answered with one of some HTTP statuses: 404 says that a thing is not there, 409 that its state
 * does not allow it, such as a removal under way.
 */
export const hasStatus = (error: unknown, ...statuses: readonly number[]): boolean =>
  statuses.includes((error as { statusCode?: number }).statusCode ?? 0);
