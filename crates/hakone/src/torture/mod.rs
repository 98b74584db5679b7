//! The store against the model, on a disk that loses power, fails and lies.

mod ask;
mod cuts;
mod damage;
mod faults;
mod model;
mod run;
mod subject;
