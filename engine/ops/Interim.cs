#pragma warning disable CS1591
namespace Plip.Engine;
public enum ContrastLabels { Sum, L2 }
public enum PictureReduction { PerImageNorm, MeanSquare, SumSquare }
public static unsafe partial class Ops
{
    static Tensor Map(Tensor x, Func<float,float> f, Func<float,float,float,float> d)
    {
        var y = Tensor.Like(x);
        x.Device.Run(cpu => { float* a=x.F32,b=y.F32; cpu.ForRange(x.Count,4096,(i,e)=>{ for(;i<e;i++) b[i]=f(a[i]); }); });
        return Tape.Record(y,[x],dy=>{ var dx=Tensor.Like(x); x.Device.Run(cpu => { float* a=x.F32,b=y.F32,g=dy.F32,o=dx.F32; cpu.ForRange(x.Count,4096,(i,e)=>{ for(;i<e;i++) o[i]=g[i]*d(a[i],b[i],0); }); }); return [dx]; });
    }
    public static Tensor Relu(Tensor x)=>Map(x,v=>v>0?v:0,(a,b,_)=>b>0?1:0);
    public static Tensor Sigmoid(Tensor x)=>Map(x,v=>1/(1+MathF.Exp(-v)),(a,b,_)=>b*(1-b));
    public static Tensor Tanh(Tensor x)=>Map(x,MathF.Tanh,(a,b,_)=>1-b*b);
    public static Tensor Gelu(Tensor x)=>Map(x,v=>0.5f*v*(1+MathF.Tanh(0.79788456f*(v+0.044715f*v*v*v))),(v,b,_)=>{ var t=MathF.Tanh(0.79788456f*(v+0.044715f*v*v*v)); return 0.5f*(1+t)+0.5f*v*(1-t*t)*0.79788456f*(1+3*0.044715f*v*v);});
    public static Tensor Dropout(Tensor x,float p,Philox r)=>throw new NotSupportedException();
    public static Tensor GatherRows(Tensor x, Tensor idx)
    { int c=x.Cols,n=(int)idx.Count; var y=Tensor.Empty(x.Device,new Shape(n,c)); for(var i=0;i<n;i++) x.Device.Copy(x.Address+(nint)idx.I32[i]*c*4,y.Address+(nint)i*c*4,c*4);
      return Tape.Record(y,[x],dy=>{ var dx=Tensor.Zeros(x.Device,x.Shape); for(var i=0;i<n;i++){ float* o=dx.F32+(long)idx.I32[i]*c; float* g=dy.F32+(long)i*c; for(var k=0;k<c;k++) o[k]+=g[k]; } return [dx]; }); }
    public static Tensor Embedding(Tensor t, Tensor ids)=>GatherRows(t,ids);
    public static Tensor CrossEntropy(Tensor z, Tensor labels)
    { int n=z.Rows,v=z.Cols; var y=Tensor.Empty(z.Device,new Shape()); var p=Tensor.Like(z); double s=0;
      for(var r=0;r<n;r++){ float* a=z.F32+(long)r*v; float* q=p.F32+(long)r*v; var m=Simd.Max(a,v); double t=0; for(var k=0;k<v;k++){ q[k]=MathF.Exp(a[k]-m); t+=q[k]; } for(var k=0;k<v;k++) q[k]=(float)(q[k]/t); s-=Math.Log(q[labels.I32[r]]+1e-30); }
      *y.F32=(float)(s/n);
      return Tape.Record(y,[z],dy=>{ var d=*dy.F32/n; var dz=Tensor.Like(z); for(var r=0;r<n;r++) for(var k=0;k<v;k++) dz.F32[(long)r*v+k]=d*(p.F32[(long)r*v+k]-(labels.I32[r]==k?1:0)); return [dz]; },[p]); }
    public static Tensor ScaleChannels(Tensor x, Tensor s)
    { int n=x.Shape[0],c=x.Cols,hw=x.Rows/n; var y=Tensor.Like(x);
      x.Device.Run(cpu=>{ float* a=x.F32,b=y.F32,t=s.F32; cpu.For(n,i=>{ for(var r=0;r<hw;r++) for(var k=0;k<c;k++){ var o=((long)i*hw+r)*c+k; b[o]=a[o]*t[i*c+k]; } }); });
      return Tape.Record(y,[x,s],dy=>{ var dx=Tensor.Like(x); var ds=Tensor.Zeros(s.Device,s.Shape); x.Device.Run(cpu=>{ float* a=x.F32,t=s.F32,g=dy.F32,e=dx.F32,d=ds.F32; cpu.For(n,i=>{ for(var r=0;r<hw;r++) for(var k=0;k<c;k++){ var o=((long)i*hw+r)*c+k; e[o]=g[o]*t[i*c+k]; d[i*c+k]+=g[o]*a[o]; } }); }); return [dx,ds]; }); }
    public static Tensor MeanPixels(Tensor x)
    { int n=x.Shape[0],c=x.Cols,hw=x.Rows/n; var y=Tensor.Zeros(x.Device,new Shape(n,c)); x.Device.Run(cpu=>{ float* a=x.F32,b=y.F32; cpu.For(n,i=>{ for(var r=0;r<hw;r++) for(var k=0;k<c;k++) b[i*c+k]+=a[((long)i*hw+r)*c+k]/hw; }); });
      return Tape.Record(y,[x],dy=>{ var dx=Tensor.Like(x); x.Device.Run(cpu=>{ float* a=dx.F32,b=dy.F32; cpu.For(n,i=>{ for(var r=0;r<hw;r++) for(var k=0;k<c;k++) a[((long)i*hw+r)*c+k]=b[i*c+k]/hw; }); }); return [dx]; }); }
    public static Tensor MaxPixels(Tensor x)
    { int n=x.Shape[0],c=x.Cols,hw=x.Rows/n; var y=Tensor.Empty(x.Device,new Shape(n,c)); var at=new int[n*c]; for(var i=0;i<n;i++) for(var k=0;k<c;k++){ var m=float.NegativeInfinity; for(var r=0;r<hw;r++){ var v=x.F32[((long)i*hw+r)*c+k]; if(v>m){m=v;at[i*c+k]=r;} } y.F32[i*c+k]=m; }
      return Tape.Record(y,[x],dy=>{ var dx=Tensor.Zeros(x.Device,x.Shape); for(var i=0;i<n;i++) for(var k=0;k<c;k++) dx.F32[((long)i*hw+at[i*c+k])*c+k]=dy.F32[i*c+k]; return [dx]; }); }
    public static Tensor L2Normalize(Tensor x,float eps=1e-12f)
    { int n=x.Rows,c=x.Cols; var y=Tensor.Like(x); var r=Tensor.PerRow(x); for(var i=0;i<n;i++){ r.F32[i]=1/MathF.Sqrt(Simd.SumSquares(x.F32+i*c,c)+eps); for(var k=0;k<c;k++) y.F32[i*c+k]=x.F32[i*c+k]*r.F32[i]; }
      return Tape.Record(y,[x],dy=>{ var dx=Tensor.Like(x); for(var i=0;i<n;i++){ var d=Simd.Dot(dy.F32+i*c,y.F32+i*c,c); for(var k=0;k<c;k++) dx.F32[i*c+k]=r.F32[i]*(dy.F32[i*c+k]-d*y.F32[i*c+k]); } return [dx]; },[r]); }
    public static Tensor Concat(Tensor[] xs,int axis)
    { var s=xs[0].Shape; axis=axis<0?s.Rank+axis:axis; long outer=1,inner=1; for(var i=0;i<axis;i++) outer*=s[i]; for(var i=axis+1;i<s.Rank;i++) inner*=s[i]; var d=s.ToArray(); d[axis]=xs.Sum(x=>x.Shape[axis]); var y=Tensor.Empty(xs[0].Device,new Shape(d)); long at=0,w=d[axis]*inner;
      foreach(var x in xs){ var l=x.Shape[axis]*inner; for(long o=0;o<outer;o++) x.Device.Copy(x.Address+(nint)(o*l*4),y.Address+(nint)((o*w+at)*4),l*4); at+=l; }
      return Tape.Record(y,xs,dy=>{ var g=new Tensor?[xs.Length]; var a=0; for(var k=0;k<xs.Length;k++){ g[k]=Slice(dy,axis,a,xs[k].Shape[axis]); a+=xs[k].Shape[axis]; } return g; }); }
    public static Tensor Slice(Tensor x,int axis,int start,int length)
    { var s=x.Shape; long outer=1,inner=1; for(var i=0;i<axis;i++) outer*=s[i]; for(var i=axis+1;i<s.Rank;i++) inner*=s[i]; var d=s.ToArray(); d[axis]=length; var y=Tensor.Empty(x.Device,new Shape(d)); long w=s[axis]*inner,l=length*inner; for(long o=0;o<outer;o++) x.Device.Copy(x.Address+(nint)((o*w+start*inner)*4),y.Address+(nint)(o*l*4),l*4);
      return Tape.Record(y,[x],dy=>{ var dx=Tensor.Zeros(x.Device,x.Shape); for(long o=0;o<outer;o++) x.Device.Copy(dy.Address+(nint)(o*l*4),dx.Address+(nint)((o*w+start*inner)*4),l*4); return [dx]; }); }
    public static Tensor AvgPool2d(Tensor x,int k)
    { int n=x.Shape[0],h=x.Shape[1]/k,w=x.Shape[2]/k,c=x.Cols,W=x.Shape[2],H=x.Shape[1]; var y=Tensor.Empty(x.Device,new Shape(n,h,w,c)); var f=1f/(k*k);
      x.Device.Run(cpu=>{ float* a=x.F32,b=y.F32; cpu.For(n*h,q=>{ int i=q/h,r=q%h; for(var j=0;j<w;j++) for(var z=0;z<c;z++){ float t=0; for(var u=0;u<k;u++) for(var v=0;v<k;v++) t+=a[(((long)i*H+r*k+u)*W+j*k+v)*c+z]; b[((long)q*w+j)*c+z]=t*f; } }); });
      return Tape.Record(y,[x],dy=>{ var dx=Tensor.Zeros(x.Device,x.Shape); x.Device.Run(cpu=>{ float* a=dx.F32,b=dy.F32; cpu.For(n*h,q=>{ int i=q/h,r=q%h; for(var j=0;j<w;j++) for(var z=0;z<c;z++) for(var u=0;u<k;u++) for(var v=0;v<k;v++) a[(((long)i*H+r*k+u)*W+j*k+v)*c+z]=b[((long)q*w+j)*c+z]*f; }); }); return [dx]; }); }
    public static Tensor UpsampleNearest2d(Tensor x,int k)
    { int n=x.Shape[0],h=x.Shape[1],w=x.Shape[2],c=x.Cols; var y=Tensor.Empty(x.Device,new Shape(n,h*k,w*k,c));
      x.Device.Run(cpu=>{ float* a=x.F32,b=y.F32; cpu.For(n*h*k,q=>{ for(var j=0;j<w*k;j++) for(var z=0;z<c;z++) b[((long)q*w*k+j)*c+z]=a[(((long)q/k)*w+j/k)*c+z]; }); });
      return Tape.Record(y,[x],dy=>{ var dx=Tensor.Zeros(x.Device,x.Shape); x.Device.Run(cpu=>{ float* a=dx.F32,b=dy.F32; cpu.For(n*h,q=>{ for(var u=0;u<k;u++) for(var j=0;j<w*k;j++) for(var z=0;z<c;z++) a[((long)q*w+j/k)*c+z]+=b[(((long)q*k+u)*w*k+j)*c+z]; }); }); return [dx]; }); }
    public static Tensor ToGray(Tensor x,float[] m,float[] s)
    { var y=Tensor.Like(x); x.Device.Run(cpu=>{ float* a=x.F32,b=y.F32; cpu.ForRange(x.Count/3,4096,(i,e)=>{ for(;i<e;i++){ var l=.299f*(a[3*i]*s[0]+m[0])+.587f*(a[3*i+1]*s[1]+m[1])+.114f*(a[3*i+2]*s[2]+m[2]); for(var k=0;k<3;k++) b[3*i+k]=(l-m[k])/s[k]; } }); }); return y; }
    public static Tensor EuclideanLoss(Tensor p,Tensor t,PictureReduction r)
    { if(r==PictureReduction.MeanSquare){ var d=Subtract(p,t); return Mean(Multiply(d,d)); }
      if(r==PictureReduction.SumSquare){ var d=Subtract(p,t); return Sum(Multiply(d,d)); }
      int n=p.Shape[0],w=(int)(p.Count/n); var y=Tensor.Empty(p.Device,new Shape()); var q=new double[n]; double s=0; for(var i=0;i<n;i++){ for(var k=0;k<w;k++){ double e=p.F32[(long)i*w+k]-t.F32[(long)i*w+k]; q[i]+=e*e; } q[i]=Math.Sqrt(q[i]); s+=q[i]; } *y.F32=(float)(s/n);
      return Tape.Record(y,[p],dy=>{ var g=Tensor.Like(p); for(var i=0;i<n;i++) for(var k=0;k<w;k++) g.F32[(long)i*w+k]=q[i]==0?0:(float)(*dy.F32/n*(p.F32[(long)i*w+k]-t.F32[(long)i*w+k])/q[i]); return [g]; }); }
    public static Tensor ManhattanLoss(Tensor p,Tensor t,PictureReduction r)=>throw new NotSupportedException();
    public static Tensor Sdm(Tensor v,Tensor t,Tensor ids,float s)=>throw new NotSupportedException();
    public static Tensor AlignmentLoss(Tensor v,Tensor t,Tensor ids)=>throw new NotSupportedException();
    public static Tensor InfoNce(Tensor v,Tensor t,float s)=>throw new NotSupportedException();
    static Tensor CmpmDir(Tensor s,Tensor ids,bool l2)
    { int n=s.Rows; var y=Tensor.Empty(s.Device,new Shape()); var ds=Tensor.Like(s); double L=0; var q=new double[n]; var p=new double[n]; var id=ids.ToArray<int>();
      for(var i=0;i<n;i++){ double m=-1e30,z=0,c=0; for(var j=0;j<n;j++){ m=Math.Max(m,s.F32[i*n+j]); if(id[i]==id[j]) c++; } for(var j=0;j<n;j++){ p[j]=Math.Exp(s.F32[i*n+j]-m); z+=p[j]; } double dot=0; for(var j=0;j<n;j++){ p[j]/=z; q[j]=id[i]==id[j]?1/(l2?Math.Sqrt(c):c):0; var t=Math.Log(p[j]+1e-30)-Math.Log(q[j]+1e-8); L+=p[j]*t; q[j]=t; dot+=p[j]*(t+1); } for(var j=0;j<n;j++) ds.F32[i*n+j]=(float)(p[j]*(q[j]+1-dot)/n); }
      *y.F32=(float)(L/n); return Tape.Record(y,[s],dy=>[Affine(ds,*dy.F32)],[ds]); }
    public static Tensor Cmpm(Tensor v,Tensor t,Tensor ids,float scale,bool both,ContrastLabels labels)
    { var vn=L2Normalize(v); var tn=L2Normalize(t); var a=CmpmDir(Affine(MatMul(both?vn:v,tn,false,true),scale),ids,labels==ContrastLabels.L2); var b=CmpmDir(Affine(MatMul(both?tn:t,vn,false,true),scale),ids,labels==ContrastLabels.L2); return Add(a,b); }
    public static Tensor UpsampleBilinear2d(Tensor x,int H,int W)
    { int n=x.Shape[0],h=x.Shape[1],w=x.Shape[2],c=x.Cols; var y=Tensor.Empty(x.Device,new Shape(n,H,W,c));
      x.Device.Run(cpu=>{ float* a=x.F32,b=y.F32; cpu.For(n*H,q=>{ for(var j=0;j<W;j++) for(var z=0;z<c;z++) b[((long)q*W+j)*c+z]=a[(((long)(q/H)*h+(q%H)*h/H)*w+j*w/W)*c+z]; }); });
      return Tape.Record(y,[x],dy=>{ var dx=Tensor.Zeros(x.Device,x.Shape); x.Device.Run(cpu=>{ float* a=dx.F32,b=dy.F32; cpu.For(n,i=>{ for(var r=0;r<H;r++) for(var j=0;j<W;j++) for(var z=0;z<c;z++) a[(((long)i*h+r*h/H)*w+j*w/W)*c+z]+=b[((long)(i*H+r)*W+j)*c+z]; }); }); return [dx]; }); }
}
