"""The public names and their homes: the one list of them, for type checkers and for `vk` itself."""

from ._version import __version__ as __version__
from .aio.latest import Latest as Latest
from .errors import (
    ClusterError as ClusterError,
)
from .errors import (
    ConfigError as ConfigError,
)
from .errors import (
    InvalidInputError as InvalidInputError,
)
from .errors import (
    NotFoundError as NotFoundError,
)
from .errors import (
    PermanentError as PermanentError,
)
from .errors import (
    PluginError as PluginError,
)
from .errors import (
    ProviderError as ProviderError,
)
from .errors import (
    TemporaryError as TemporaryError,
)
from .errors import (
    UnsupportedError as UnsupportedError,
)
from .errors import (
    VkError as VkError,
)
from .fields import FieldTable as FieldTable
from .hookspecs import (
    Register as Register,
)
from .hookspecs import (
    hookimpl as hookimpl,
)
from .kubelet import VirtualKubelet as VirtualKubelet
from .log_lines import (
    LineFilter as LineFilter,
)
from .log_lines import (
    filter_lines as filter_lines,
)
from .models.check import Check as Check
from .models.files import (
    File as File,
)
from .models.files import (
    FileTree as FileTree,
)
from .models.files import (
    RegistryCredential as RegistryCredential,
)
from .models.keys import (
    ContainerKey as ContainerKey,
)
from .models.keys import (
    PodKey as PodKey,
)
from .models.logs import LogOptions as LogOptions
from .models.node import (
    Address as Address,
)
from .models.node import (
    NodeInfo as NodeInfo,
)
from .models.node import (
    Taint as Taint,
)
from .models.pod import (
    DNS as DNS,
)
from .models.pod import (
    Container as Container,
)
from .models.pod import (
    HostAlias as HostAlias,
)
from .models.pod import (
    Pod as Pod,
)
from .models.requests import effective_requests as effective_requests
from .models.stats import (
    NodeStats as NodeStats,
)
from .models.stats import (
    PodStats as PodStats,
)
from .models.stats import (
    Usage as Usage,
)
from .models.status import (
    Condition as Condition,
)
from .models.status import (
    ContainerState as ContainerState,
)
from .models.status import (
    ContainerStatus as ContainerStatus,
)
from .models.status import (
    Gone as Gone,
)
from .models.status import (
    PodChange as PodChange,
)
from .models.status import (
    PodStatus as PodStatus,
)
from .models.status import (
    Running as Running,
)
from .models.status import (
    Terminated as Terminated,
)
from .models.status import (
    Unplaced as Unplaced,
)
from .models.status import (
    Waiting as Waiting,
)
from .models.time import format_time as format_time
from .models.time import parse_time as parse_time
from .models.volumes import (
    CSI as CSI,
)
from .models.volumes import (
    NFS as NFS,
)
from .models.volumes import (
    EmptyDir as EmptyDir,
)
from .models.volumes import (
    HostPath as HostPath,
)
from .models.volumes import (
    ImageSource as ImageSource,
)
from .models.volumes import (
    Volume as Volume,
)
from .models.volumes import (
    VolumeSource as VolumeSource,
)
from .mounts import (
    files_below as files_below,
)
from .mounts import (
    sub_path as sub_path,
)
from .notation.expansion import expand_variables as expand_variables
from .notation.quantity import parse_quantity as parse_quantity
from .notation.selector import parse_label_selector as parse_label_selector
from .provider import (
    API_VERSION as API_VERSION,
)
from .provider import (
    Emit as Emit,
)
from .provider import (
    Provider as Provider,
)
from .provider import (
    ProviderContext as ProviderContext,
)
from .runner import run as run
from .settings import Settings as Settings
from .streams import (
    ByteReader as ByteReader,
)
from .streams import (
    ByteStream as ByteStream,
)
from .streams import (
    ByteWriter as ByteWriter,
)
from .streams import (
    ExecIO as ExecIO,
)
from .streams import (
    TerminalSize as TerminalSize,
)
from .volume_folder import write_files as write_files
