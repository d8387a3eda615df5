"""What moves a network between its devices."""


class ModelPatcher:
    def __init__(self, model, load_device, offload_device, size=0, weight_inplace_update=False):
        self.model, self.size = model, size
        self.load_device, self.offload_device = load_device, offload_device

    def model_size(self):
        if not self.size:
            self.size = sum(t.nbytes for t in self.model.state_dict().values())
        return self.size
