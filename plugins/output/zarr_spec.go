package output

import (
	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/mfn-connect/mfn-connect/plugins/internal/fields"
	"github.com/mfn-connect/mfn-connect/plugins/internal/retry"
	"github.com/mfn-connect/mfn-connect/plugins/internal/zarr"
)

const zarrType = "mfn_zarr"

// The fields of the output, but for those of package retry.
var (
	zarrFieldDirectory = fields.NotEmpty("directory")
	zarrFieldIndex     = fields.Interpolated("index")
	zarrFieldCount     = fields.Interpolated("count")
	zarrFieldSweep     = fields.Interpolated("sweep")
	zarrFieldDataType  = fields.Enum("data_type", map[string]string{string(zarr.Float32): "4 bytes a cell, 7 digits.", string(zarr.Float64): "8 bytes a cell, all digits."})
	zarrFieldExclude   = fields.ListOf(fields.Text("exclude"))
	zarrFieldFsync     = fields.Bool("fsync")
)

func zarrSpec() *service.ConfigSpec {
	return service.NewConfigSpec().
		Categories("Local").
		Summary("Writes results of simulations to a Zarr group, which xarray opens.").
		Description(`
The group is a directory in the Zarr format, version 3. Its arrays have the dimension `+"`sim`"+` first, which counts the simulations:

- Each field that a result includes, such as `+"`v`"+`, is an array `+"`(sim, x, y)`"+`, and each plane of its `+"`snapshots`"+` one of `+"`(sim, time, x, y)`"+`, such as `+"`snapshots_v`"+`. A simulation is a chunk. `+"`time`"+` is a coordinate: the steps of the snapshots, which are the same in all simulations of a group. `+"`snapshots_times`"+` has their times.
- Each number, text, true or false is an array `+"`(sim)`"+` in chunks of 256 simulations. Parameters and features have their own names, those of a group of `+"`pattern`"+` have the group's name before theirs, as others have that of the object that they are in: `+"`spectrum_wavelength`"+`. Numbers are float64, and true and false are 1 and 0; `+"`seed`"+` is uint64, so that all its digits are kept. `+"`warnings`"+` says how many there are.
- A list of numbers is an array `+"`(sim, …)`"+`, in chunks of 256 simulations. A list of objects is one of each of their members. Lists of texts are left out.

What is null or missing reads as NaN, a missing text as empty, and a missing seed as 0. The parameters and `+"`simulation_id`"+` are xarray's coordinates. The group's attributes are `+"`model`"+`, `+"`sweep`"+`, and the `+"`version`"+` of the program that has made it.

The first result decides which arrays there are. A result of another model or sweep, one with other members, and one whose fields have another shape is an error of its message.

### The place of a result

`+"`index`"+` is where in the arrays a result goes. Results of a `+"`mfn_sweep`"+` have it in their metadata, and with it the number of simulations, which is the length of the arrays. Where `+"`count`"+` is empty, the arrays grow as results arrive. A result that is written again replaces itself with the same bytes.

### Crashes, and several writers

Each chunk is written beside its place and renamed, so that it is there whole, old or new. A message is confirmed when all its chunks are. Values are merged into chunks under a lock of the directory, so that several outputs and processes may write one group. Where a network file system does not lock directories, give each process a `+"`shard`"+` of the sweep: shards end where chunks do.

What a crash leaves of chunks that were not complete is removed when a later run writes to the same array, if it is ten minutes old by then.

### Failures

A full disk, an input or output error, too many open files and the like are retried; a missing permission, a directory that holds other files, or a group that was laid out by another program fails at once. Of a batch, only the messages that failed are rejected.`).
		Fields(
			zarrFieldDirectory.Field().
				Description("The directory of the group, made if it is missing.").
				Example("results/map.zarr"),
			zarrFieldIndex.Field().
				Description("The place of a result in the arrays, from 0 on.").
				Default(`${! metadata("sweep_index") }`).
				Example(`${! json("number") }`),
			zarrFieldCount.Field().
				Description("How many simulations the arrays have room for. They get longer for an index beyond it. Empty: as many as have arrived.").
				Default(`${! metadata("sweep_count").or("") }`).
				Example("1000"),
			zarrFieldSweep.Field().
				Description("What a group holds the results of. A result of another is refused.").
				Default(`${! metadata("sweep_id").or("") }`),
			zarrFieldDataType.Field().
				Description("The type of fields. Single values are float64.").
				Default(string(zarr.Float32)),
			zarrFieldExclude.Field().
				Description("Arrays that are left out, by their names. The defaults are lists whose length differs among simulations.").
				Default([]any{"fit_sizes", "fit_counts", "fit_slopes"}),
			zarrFieldFsync.Field().
				Description("Whether a message is confirmed only when its chunks would survive a loss of power. Without it, they survive a crash of the program.").
				Default(true).
				Advanced(),
			fieldMaxInFlight.Field().
				Description("How many batches are written at once, waiting retries included.").
				Default(4),
			fields.Foreign(service.NewBatchPolicyField(fieldBatching).
				Description("Batches of results: each writes all chunks that its values are in. Without any setting, 4096 results, 32 MiB, or those of one second. `period` is one second wherever it is not set.")),
		).
		Fields(retry.Fields()...).
		Example("A map of two parameters", "Writes the field v and all features of 256 simulations. Those that cannot be simulated are left out, with a warning in the log, and read as NaN.", `
input:
  mfn_sweep:
    count: 256
    parameters:
      F: { min: 0.02, max: 0.06 }
      k: { min: 0.055, max: 0.065 }
    fixed: { model: gray_scott, grid_size: 64, steps: 5000, seed: 1 }

pipeline:
  processors:
    - mfn_simulate:
        include: [ v ]
    - catch:
        - mapping: root = deleted()

output:
  mfn_zarr:
    directory: map.zarr
`).
		Example("Results that no sweep has numbered", "Gives each result its place by its seed, all digits of its fields, and arrays that grow.", `
output:
  mfn_zarr:
    directory: seeds.zarr
    index: '${! json("params.seed") }'
    count: ''
    data_type: float64
`)
}
