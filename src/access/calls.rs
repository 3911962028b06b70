//! What every call needs. A call that is not in the table is refused; a test finds every call of the API here.

use serde::{Deserialize, Serialize};

/// What a caller may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// See images, clusters, decisions and the log.
    Read,
    /// Add images, and nothing else: one who adds sees the outcomes of the images added, and no other image.
    Add,
    /// Judge, take back and cluster; includes `read`.
    Judge,
    /// Everything: collections, policies, deletion, imports from the daemon's disk, verification.
    Admin,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 4] = [Self::Read, Self::Add, Self::Judge, Self::Admin];

    /// The name in the file of tokens.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Add => "add",
            Self::Judge => "judge",
            Self::Admin => "admin",
        }
    }

    /// Whether who has this role may do what needs the other.
    pub fn includes(self, needed: Self) -> bool {
        self == needed || self == Self::Admin || (self == Self::Judge && needed == Self::Read)
    }
}

/// What a call is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The collection that the request names, which has to be in the caller's scope.
    Collection,
    /// What the daemon holds of all that is in the caller's scope.
    Own,
    /// The daemon as a whole: only for those whose scope is every collection.
    Everything,
    /// Nothing of any collection.
    Nothing,
}

/// What a call needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Need {
    /// A role; `None`: anyone who is known.
    pub role: Option<Role>,
    /// What it is about.
    pub scope: Scope,
    /// Whether the call may go on for as long as its caller likes.
    pub is_stream: bool,
}

const fn of(role: Role) -> Need {
    Need { role: Some(role), scope: Scope::Collection, is_stream: false }
}

const fn stream(role: Role) -> Need {
    Need { role: Some(role), scope: Scope::Collection, is_stream: true }
}

const fn own(role: Role) -> Need {
    Need { role: Some(role), scope: Scope::Own, is_stream: false }
}

const KNOWN: Need = Need { role: None, scope: Scope::Nothing, is_stream: false };

/// Every call of the API by "Service/Method", and what it needs.
pub const CALLS: &[(&str, Need)] = &[
    ("AdminService/GetServerInfo", KNOWN),
    ("AdminService/GetStats", of(Role::Read)),
    ("AdminService/GetGrowth", of(Role::Read)),
    ("AdminService/Backup", Need { role: Some(Role::Admin), scope: Scope::Everything, is_stream: false }),
    ("AdminService/Verify", Need { role: Some(Role::Admin), scope: Scope::Everything, is_stream: false }),
    ("AdminService/GetOperation", own(Role::Read)),
    ("AdminService/ListOperations", own(Role::Read)),
    ("AdminService/CancelOperation", own(Role::Judge)),
    ("AdminService/WaitOperation", own(Role::Read)),
    ("AdminService/WatchOperation", Need { role: Some(Role::Read), scope: Scope::Own, is_stream: true }),
    ("ClusteringService/Recluster", of(Role::Judge)),
    ("ClusteringService/SuggestParameters", of(Role::Read)),
    ("ClusteringService/ListClusterings", of(Role::Read)),
    ("ClusteringService/GetClustering", of(Role::Read)),
    ("ClusteringService/ActivateClustering", of(Role::Judge)),
    ("ClusteringService/ListClusters", of(Role::Read)),
    ("ClusteringService/GetCluster", of(Role::Read)),
    ("ClusteringService/ListMembers", of(Role::Read)),
    ("ClusteringService/ListLiveClusters", of(Role::Read)),
    ("ClusteringService/ListLiveMembers", of(Role::Read)),
    ("ClusteringService/GetReachability", of(Role::Read)),
    ("ClusteringService/GetMap", of(Role::Read)),
    ("CollectionService/CreateCollection", of(Role::Admin)),
    ("CollectionService/GetCollection", of(Role::Read)),
    ("CollectionService/ListCollections", own(Role::Read)),
    ("CollectionService/DeleteCollection", of(Role::Admin)),
    ("CollectionService/ExportCollection", stream(Role::Read)),
    ("CollectionService/ImportCollection", stream(Role::Admin)),
    ("CollectionService/GetPolicy", of(Role::Read)),
    ("CollectionService/SetPolicy", of(Role::Admin)),
    ("DecisionService/SetVerdict", of(Role::Judge)),
    ("DecisionService/BatchGetDecisions", of(Role::Read)),
    ("DecisionService/FetchDecisions", stream(Role::Read)),
    ("DecisionService/WatchDecisions", stream(Role::Read)),
    ("DecisionService/ExplainDecision", of(Role::Read)),
    ("DecisionService/ListEvents", of(Role::Read)),
    ("DecisionService/Evaluate", of(Role::Read)),
    ("DecisionService/NextReview", of(Role::Judge)),
    ("DecisionService/AnswerReview", of(Role::Judge)),
    ("DecisionService/PreviewVerdict", of(Role::Judge)),
    ("DecisionService/UndoEvent", of(Role::Judge)),
    ("ImageService/AddImages", stream(Role::Add)),
    ("ImageService/AddImage", of(Role::Add)),
    ("ImageService/ImportSources", of(Role::Admin)),
    ("ImageService/GetImage", of(Role::Read)),
    ("ImageService/ListImages", of(Role::Read)),
    ("ImageService/BatchGetThumbnails", of(Role::Read)),
    ("ImageService/DeleteImages", of(Role::Admin)),
    ("ImageService/FindNeighbours", of(Role::Read)),
    ("ImageService/FindDuplicates", of(Role::Read)),
];

/// What the call at a path such as "/culld.v1.ImageService/AddImage" needs; `None` for one that is not known, which
/// nobody may. Reflection needs a known caller; health says nothing but whether the daemon serves, to anyone.
pub fn need_of(path: &str) -> Option<Need> {
    let path = path.strip_prefix('/')?;
    if path.starts_with("grpc.reflection.") {
        return Some(Need { is_stream: true, ..KNOWN });
    }
    let call = path.strip_prefix("culld.v1.")?;
    CALLS.iter().find(|(name, _)| *name == call).map(|(_, need)| *need)
}
