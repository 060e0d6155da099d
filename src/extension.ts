import { hostname, userInfo } from 'node:os';
import * as vscode from 'vscode';
import { DockerBackend } from './backends/docker/dockerBackend.ts';
import { Deployments } from './backends/kubernetes/deployment/deployments.ts';
import { KubernetesBackend } from './backends/kubernetes/kubernetesBackend.ts';
import { linkScheduler } from './backends/kubernetes/schedulerLink.ts';
import { ClusterManager } from './core/manager.ts';
import type { PodScheduler } from './core/podScheduler.ts';
import { Store } from './core/store.ts';
import type { TreeNode } from './core/tree.ts';
import { SchedulerClient } from './dask/scheduler.ts';
import { watchScheduler } from './dask/watch.ts';
import { removeOrphanDirectories } from './host/directories.ts';
import { HostPool } from './host/pool.ts';
import { Commands } from './protocol/commands.ts';
import type { ClusterMakerRef, FlowRef } from './protocol/lsp.ts';
import { Attachments } from './runs/attachments.ts';
import { RunChannels } from './runs/channel.ts';
import { ClientFiles } from './runs/clientFiles.ts';
import { ClusterOutputs } from './runs/clusterOutputs.ts';
import { askGateway } from './runs/gatewayClusters.ts';
import { KeptClusters } from './runs/keptClusters.ts';
import { Retirements } from './runs/retire.ts';
import { RunService } from './runs/service.ts';
import { AttachCommands } from './ui/attachCommands.ts';
import { readWorkspaceCertificates } from './ui/certificates.ts';
import { ClassCommands } from './ui/classCommands.ts';
import { ClientCommands } from './ui/clientCommands.ts';
import { ClusterAdvisor } from './ui/clusterAdvice.ts';
import { ClusterCommands } from './ui/clusterCommands.ts';
import { ClusterLogs } from './ui/clusterLogs.ts';
import { registerCommands } from './ui/commands.ts';
import { followContext } from './ui/context.ts';
import { DeployCommands } from './ui/deployCommands.ts';
import { Discoverer } from './ui/discovery.ts';
import { copyExecutorCode } from './ui/executorCode.ts';
import { ExecutorPanel } from './ui/executorPanel.ts';
import { FlowCommands } from './ui/flowCommands.ts';
import { followHistory } from './ui/history.ts';
import { ImageCommands } from './ui/imageCommands.ts';
import { KubernetesCommands } from './ui/kubernetesCommands.ts';
import { KubernetesDiscoverer } from './ui/kubernetesDiscovery.ts';
import { LeftoverCommands } from './ui/leftovers.ts';
import { Lenses } from './ui/lenses.ts';
import { logFailures, showError } from './ui/messages.ts';
import { Preflight } from './ui/preflight.ts';
import { Interpreters, selectInterpreter } from './ui/python.ts';
import { RunCommands } from './ui/runCommands.ts';
import { findWritten, saveExecutor, useAsCluster } from './ui/saveExecutor.ts';
import { ScalingCommands } from './ui/scaling.ts';
import { followSettings, setDefaultExecutor } from './ui/settings.ts';
import { ShellCommands } from './ui/shells.ts';
import { createStatusBar } from './ui/statusBar.ts';
import { whenTrusted } from './ui/trust.ts';
import { createViews } from './ui/views.ts';

let end: (() => Promise<void>) | undefined;

/** Builds and connects the parts; each does its own work later, when first used. */
export function activate(context: vscode.ExtensionContext): void {
  const log = vscode.window.createOutputChannel('Flow Clusters', { log: true });
  const dist = (name: string) => vscode.Uri.joinPath(context.extensionUri, 'dist', name).fsPath;
  const store = new Store();
  const cache = vscode.Uri.joinPath(context.globalStorageUri, 'imports').fsPath;
  const pool = new HostPool({ script: dist('python/cluster_host.py'), log, cache });
  const channels = new RunChannels();
  const manager = new ClusterManager({ store, watch: watchScheduler, log });
  const outputs = new ClusterOutputs({ store, manager, channels });
  const runs = new RunService({ store, manager, channels, outputs, log });
  const lenses = new Lenses({
    store,
    serverModule: dist('server.js'),
    onFlowSeen: (uri) => flows.flowSeen(uri),
    onError: (error) => void showError(error, log),
  });
  const interpreters = new Interpreters(log);
  const memory = context.workspaceState;
  const link = (pods: PodScheduler) => linkScheduler(pods, log);
  const attachments = new Attachments({
    ...{ store, manager, memory, log, link },
    secrets: context.secrets,
    readCertificates: readWorkspaceCertificates,
  });
  const attach = new AttachCommands({
    ...{ store, attachments, interpreters, memory, log, link },
    takeUp: (cluster) => kept.takeUp(cluster),
    askGateway: async (address, signal) =>
      askGateway(await flows.host(undefined), address, store.snapshot.executors.executors, signal),
  });
  const preflight = new Preflight({ store, manager, lenses, log, host: (uri) => flows.host(uri) });
  const owned = {
    pythonFolder: dist('python'),
    owner: { machine: `${hostname()}/${userInfo().username}`, pid: process.pid },
    log,
  };
  const docker = new DockerBackend({ ...owned, onUse: () => leftovers.noteUse() });
  const backends = { docker, kubernetes: new KubernetesBackend(owned) };
  const leftovers = new LeftoverCommands({ store, backends, memory: context.globalState, log });
  const kept = new KeptClusters({
    ...{ store, manager, log, memory: context.globalState, secrets: context.secrets },
    backendOf: (kind) => backends[kind],
    adopt: (options) => outputs.adopt(options),
  });
  const flows = new FlowCommands({
    ...{ store, pool, runs, lenses, interpreters, attach, backends, preflight, memory, log },
  });
  const runCommands = new RunCommands({ store, runs, log });
  const logs = new ClusterLogs({ store, manager, outputs });
  const classes = new ClassCommands({ store, flows });
  const clusterCommands = new ClusterCommands({ store, manager, outputs, flows, pool, logs, backends });
  const advisor = new ClusterAdvisor({ store, clusters: clusterCommands, memory, log });
  const deployments = new Deployments({ pythonFolder: owned.pythonFolder, log, me: owned.owner.machine });
  const panel = new ExecutorPanel({
    ...{ flows, lenses, deployments, clusters: clusterCommands, attach, memory, log },
    extension: context.extension,
  });
  const clients = new ClientCommands({
    ...{ store, manager, attachments, log },
    files: new ClientFiles(vscode.Uri.joinPath(context.globalStorageUri, 'certificates').fsPath),
    terminals: context.environmentVariableCollection,
  });
  const discoverer = new Discoverer({ store, manager, log });
  const onKubernetes = new KubernetesDiscoverer({ store, memory, log, kept, owner: owned.owner });
  const script = dist('python/environment_facts.py');
  const images = new ImageCommands({ store, interpreters, memory, script });
  const retirements = new Retirements({
    store,
    manager,
    connect: (address, security) => new SchedulerClient(address, { security }),
  });
  const shells = new ShellCommands({ store, manager, log });
  const kubernetes = new KubernetesCommands({ store, manager });
  const deploy = new DeployCommands({ store, deployments, attach, attachments });
  const scaling = new ScalingCommands({ store, manager, retirements, log });
  context.subscriptions.push(
    log,
    followSettings(store),
    followHistory({ store, memory, remove: (id) => runs.remove(id) }),
    logFailures(store, log),
    interpreters,
    flows,
    createViews({
      ...{ store, memory, log, drag: clients.drag },
      onClustersVisible: (visible) => {
        discoverer.visible = visible;
        onKubernetes.visible = visible;
      },
    }),
    createStatusBar(store),
    followContext(store, lenses),
    runCommands,
    attach,
    retirements,
    logs,
    panel,
    shells,
    kubernetes,
    deploy,
    clients,
    advisor,
    images,
    discoverer,
    onKubernetes,
    leftovers,
    whenTrusted(() => kept.restore()),
    // Other windows may have started some since.
    vscode.window.onDidChangeWindowState(({ focused }) => {
      if (focused && vscode.workspace.isTrusted) void kept.restore();
    }),
    registerCommands(
      {
        [Commands.runFlow]: (ref) => flows.run(ref),
        [Commands.runFlowWith]: (ref) => flows.runWith(ref),
        [Commands.runFlowAsWritten]: (ref) => flows.runAsWritten(ref),
        [Commands.cancelRun]: (node) => runCommands.cancel(node),
        [Commands.showRun]: (argument) => runCommands.show(argument),
        [Commands.showRunLogs]: (node) => runCommands.output(node),
        [Commands.removeRun]: (node) => runCommands.remove(node),
        [Commands.clearHistory]: () => runCommands.clearHistory(),
        [Commands.startCluster]: (node) => clusterCommands.start(node),
        [Commands.attachCluster]: (node) => attach.attach(node),
        [Commands.discoverOnKubernetes]: () => onKubernetes.choose(),
        [Commands.detachCluster]: (node) => attach.detach(node),
        [Commands.stopCluster]: (node) => clusterCommands.stop(node),
        [Commands.openDashboard]: (node) => clusterCommands.dashboard(node),
        [Commands.copyAddress]: (node) => clusterCommands.copyAddress(node),
        [Commands.showClusterLogs]: (node) => clusterCommands.logs(node),
        [Commands.scaleCluster]: (node) => scaling.scale(node),
        [Commands.openShell]: (node) => shells.open(node),
        [Commands.describePod]: (node) => kubernetes.describe(node),
        [Commands.retireWorker]: (node) => scaling.retire(node),
        [Commands.cancelRetire]: (node) => scaling.cancelRetire(node),
        [Commands.useForRuns]: (node) => clusterCommands.useForRuns(node),
        [Commands.stopUsing]: () => clusterCommands.stopUsing(),
        [Commands.checkCluster]: (node) => preflight.check(node),
        [Commands.checkKubernetes]: (node) => kubernetes.check(node),
        [Commands.deployCluster]: (node) => deploy.deploy(node),
        [Commands.undeployCluster]: (node) => deploy.undeploy(node),
        [Commands.exportCluster]: (node) => deploy.export(node),
        [Commands.insertClient]: (node) => clients.insert(node),
        [Commands.makeActive]: (node) => clients.makeActive(node),
        [Commands.clearActive]: () => clients.clearActive(),
        [Commands.dismissCluster]: (node) => clusterCommands.dismiss(node),
        [Commands.setDefaultExecutor]: (node?: TreeNode) => setDefaultExecutor(store, node?.key),
        [Commands.copyExecutorCode]: (node?: TreeNode) => copyExecutorCode({ store, log }, node?.key),
        [Commands.saveExecutor]: (ref?: FlowRef, at?: number) =>
          saveExecutor({ store, flows, lenses }, ref, at),
        [Commands.useAsCluster]: (ref?: ClusterMakerRef) => useAsCluster({ store, flows, lenses }, ref),
        [Commands.configureWritten]: async (ref?: FlowRef) => {
          const found = await findWritten({ flows, lenses }, ref);
          if (found) await panel.openFilled(found);
        },
        [Commands.adviseExecutor]: (node) => advisor.show(node),
        [Commands.configureExecutors]: (node?: TreeNode) => panel.open(node?.key),
        [Commands.describeClass]: (node) => classes.describe(node),
        [Commands.buildImage]: () => images.build(),
        [Commands.selectInterpreter]: () => selectInterpreter(),
        [Commands.showOutput]: () => log.show(),
        [Commands.cleanLeftovers]: () => leftovers.clean(),
        [Commands.restartHost]: () => clusterCommands.restartHost(),
      },
      log,
    ),
  );
  void leftovers.sweepLater();
  removeOrphanDirectories().then(
    (count) => count > 0 && log.info(`folders removed that dead windows had left: ${count}`),
    (error: unknown) => void showError(error, log),
  );
  end = async () => {
    runs.dispose();
    attachments.dispose();
    const remembered = kept.dispose();
    await manager.dispose();
    await remembered;
    outputs.dispose();
    channels.dispose();
    await Promise.all([pool.dispose(), lenses.dispose(), docker.dispose()]);
  };
}

/** VS Code waits for it when the window closes; what it has no time for, the host does when its stdin ends. */
export function deactivate(): Promise<void> | undefined {
  return end?.();
}
