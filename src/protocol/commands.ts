/** Ids of the commands, in one place: package.json, lenses, tree rows and the palette use the same. */
export const Commands = {
  runFlow: 'flowClusters.flow.run',
  runFlowWith: 'flowClusters.flow.runWith',
  cancelRun: 'flowClusters.run.cancel',
  showRun: 'flowClusters.run.show',
  showRunLogs: 'flowClusters.run.logs',
  removeRun: 'flowClusters.run.remove',
  clearHistory: 'flowClusters.run.clearHistory',
  startCluster: 'flowClusters.cluster.start',
  attachCluster: 'flowClusters.cluster.attach',
  detachCluster: 'flowClusters.cluster.detach',
  stopCluster: 'flowClusters.cluster.stop',
  openDashboard: 'flowClusters.cluster.dashboard',
  copyAddress: 'flowClusters.cluster.copyAddress',
  showClusterLogs: 'flowClusters.cluster.logs',
  scaleCluster: 'flowClusters.cluster.scale',
  useForRuns: 'flowClusters.cluster.useForRuns',
  stopUsing: 'flowClusters.cluster.stopUsing',
  dismissCluster: 'flowClusters.cluster.dismiss',
  setDefaultExecutor: 'flowClusters.executor.setDefault',
  configureExecutors: 'flowClusters.executor.configure',
  selectInterpreter: 'flowClusters.python.select',
  showOutput: 'flowClusters.output.show',
  restartHost: 'flowClusters.host.restart',
} as const;

export type CommandId = (typeof Commands)[keyof typeof Commands];
